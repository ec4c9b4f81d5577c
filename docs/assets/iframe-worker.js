/* Pages opened from a folder may start no worker, and the search runs in one: let a hidden frame take its place there. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.body.appendChild(document.createElement("iframe"));
      frame.hidden = true;
      this.window = frame.contentWindow;
      this.window.postMessage = (data) => this.receive(data);
      const script = this.window.document.createElement("script");
      script.src = url;
      this.loaded = new Promise((resolve) => (script.onload = resolve));
      this.window.document.body.append(script);
    }

    receive(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    }

    postMessage(data) {
      this.loaded.then(() => this.window.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.window.frameElement.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
