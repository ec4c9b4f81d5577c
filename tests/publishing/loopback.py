"""A small imitation of the Hugging Face Hub on 127.0.0.1, for tests.

It serves what `huggingface_hub` asks of the real Hub when it creates a repository, commits to it and loads
from it, and it can be told to fail on the way. It shows what the client requests; it does not show that the
real Hub agrees.

    with LoopbackHub() as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        hub.fail(Fault("POST", "/commit/", status=500))
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web
from huggingface_hub import ModelCard

WHEN = "2026-01-01T00:00:00.000Z"
LARGE_FILES = (".safetensors", ".parquet", ".png")  # go through LFS, as on the real Hub
OWNER = "tester"


@dataclass(frozen=True)
class Commit:
    """One state of a repository: every file that it holds."""

    oid: str
    title: str
    files: dict[str, bytes]


@dataclass
class Repository:
    """One repository: commits by branch, oldest first."""

    private: bool
    branches: dict[str, list[Commit]]

    def head(self, revision: str = "main") -> Commit:
        """Return the commit of a branch, or the commit that has this id."""
        if revision in self.branches:
            return self.branches[revision][-1]
        for commit in (c for commits in self.branches.values() for c in commits):
            if commit.oid == revision:
                return commit
        raise _missing("RevisionNotFound", f"Invalid rev id: {revision}")


@dataclass
class Fault:
    """Fail requests of `method` whose path matches `path`, `times` times, after letting `skip` through.

    `status` answers with that status; without one, the connection is cut: before the request takes effect or,
    with `after_effect`, once it has.
    """

    method: str
    path: str
    status: int | None = None
    times: int = 1
    skip: int = 0
    after_effect: bool = False

    def strikes(self, request: web.Request) -> bool:
        """Tell whether this request fails, and count it."""
        if request.method != self.method or not re.search(self.path, request.path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


@dataclass
class LoopbackHub:
    """The server, its repositories by `(kind, id)`, and all requests that it saw as `(method, path)`.

    It listens at `port`, at any that is free by default.
    """

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    unhandled: list[tuple[str, str]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)  # what clients call themselves
    served: int = 0  # bytes of files
    token: str = "hf_loopback"
    port: int = 0
    _faults: list[Fault] = field(default_factory=list)
    jobs: list[dict] = field(default_factory=list)  # what was asked to be run
    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)  # files by path, by the bucket's id
    declared: dict[str, int] = field(default_factory=dict)  # sizes by path that it claims, whatever they are
    _gated: set[str] = field(default_factory=set)
    _large: dict[str, bytes] = field(default_factory=dict)  # LFS objects by sha256

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> LoopbackHub:
        """Return one at the address that an environment names."""
        return cls(port=int(environment["HF_ENDPOINT"].rpartition(":")[2]))

    def settings(self, home: Path | str) -> dict[str, str]:
        """Return the environment that sends a process here, with its cache in the folder `home`."""
        return {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "HF_TOKEN": self.token,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "OMP_NUM_THREADS": "1",
        }

    def fail(self, fault: Fault) -> None:
        """Let requests fail from now on as `fault` says."""
        self._faults.append(fault)

    def gate(self, repo_id: str) -> None:
        """Let nobody read a model repository from now on who was not granted access."""
        self._gated.add(repo_id)

    def expire_token(self) -> None:
        """Refuse the token from now on, as the Hub does once it has expired."""
        self.token = "hf_replaced"

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """Return the files of a model repository by path."""
        return self.repositories["models", repo_id].head(revision).files

    def commits(self, repo_id: str, branch: str = "main") -> list[Commit]:
        """Return the commits of a model repository after the initial one, oldest first."""
        return self.repositories["models", repo_id].branches[branch][1:]

    # Serving

    def __enter__(self) -> LoopbackHub:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()

    async def _listen(self) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=2**30)
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready.set()

    def _routes(self) -> list[web.RouteDef]:
        repo = r"/api/{kind:models|datasets|spaces}/{owner}/{name}"
        return [
            web.get("/api/agent-harnesses", self._no_harnesses),
            web.get("/api/whoami-v2", self._whoami),
            web.post("/api/validate-yaml", self._validate_yaml),
            web.post("/api/repos/create", self._create),
            web.get(repo, self._info),
            web.get(repo + "/revision/{revision}", self._info),
            web.get(repo + "/refs", self._refs),
            web.get(repo + "/commits/{revision}", self._history),
            web.get(repo + "/tree/{revision}{path:.*}", self._tree),
            web.post(repo + "/branch/{branch}", self._branch),
            web.post(repo + "/preupload/{revision}", self._preupload),
            web.post(repo + "/paths-info/{revision}", self._paths_info),
            web.post(repo + "/commit/{revision}", self._commit),
            web.get(repo + "/discussions", self._discussions),
            web.post("/{address:.+}.git/info/lfs/objects/batch", self._large_batch),
            web.put("/_lfs/{oid}", self._large_put),
            web.get("/api/buckets/{owner}/{name}", self._bucket),
            web.post("/api/jobs/{owner}", self._job),
            web.post("/api/buckets/{owner}/{name}/paths-info", self._bucket_paths),
            web.get("/api/buckets/{owner}/{name}/tree{path:.*}", self._bucket_tree),
            web.get("/buckets/{owner}/{name}/resolve/{path:.+}", self._bucket_file),
            web.get("/{kind:datasets|spaces}/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve),
            web.get("/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve),
        ]

    @web.middleware
    async def _guard(self, request: web.Request, handler: object) -> web.StreamResponse:
        await request.read()
        self.requests.append((request.method, request.path_qs))
        self.agents.add(request.headers.get("User-Agent", ""))
        fault = next((f for f in self._faults if f.strikes(request)), None)
        if fault is not None and not fault.after_effect:
            return self._strike(request, fault)
        self._check_token(request)
        try:
            response = await handler(request)
        except web.HTTPNotFound as error:
            if "X-Error-Code" not in error.headers:
                self.unhandled.append((request.method, request.path_qs))
            raise
        return response if fault is None else self._strike(request, fault)

    @staticmethod
    def _strike(request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.status is None:
            request.transport.abort()
            return web.Response()
        return web.json_response({"error": f"loopback fault {fault.status}"}, status=fault.status)

    def _check_token(self, request: web.Request) -> None:
        given = request.headers.get("Authorization")
        needed = request.path.startswith(("/api/whoami", "/api/repos")) or "/commit/" in request.path
        if (given is None and needed) or (given is not None and given != f"Bearer {self.token}"):
            message = "Invalid username or password." if given is None else "User Access Token is expired"
            raise web.HTTPUnauthorized(
                text=json.dumps({"error": message}),
                content_type="application/json",
                headers={"X-Error-Message": message},
            )

    # What it serves

    async def _no_harnesses(self, request: web.Request) -> web.Response:
        """Answer what the client asks about the programs that may run it."""
        return web.json_response({"standardEnvVars": [], "harnesses": {}})

    async def _whoami(self, request: web.Request) -> web.Response:
        token = {"displayName": "test", "role": "write"}
        auth = {"type": "access_token", "accessToken": token}
        return web.json_response({"type": "user", "id": "0", "name": OWNER, "fullname": "", "orgs": [], "auth": auth})

    async def _validate_yaml(self, request: web.Request) -> web.Response:
        return web.json_response({"errors": [], "warnings": []})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        kind = body.get("type", "model") + "s"
        repo_id = f"{body.get('organization') or OWNER}/{body['name']}"
        url = f"{self.url}/{'' if kind == 'models' else kind + '/'}{repo_id}"
        if (kind, repo_id) in self.repositories:
            return web.json_response({"error": "You already created this repo", "url": url}, status=409)
        initial = Commit(_oid(repo_id), "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        private = bool(body.get("private")) or body.get("visibility") == "private"
        self.repositories[kind, repo_id] = Repository(private, {"main": [initial]})
        return web.json_response({"url": url, "name": repo_id, "id": "0" * 24})

    async def _branch(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        name = request.match_info["branch"]
        if name in repository.branches:
            return web.json_response({"error": f"Reference already exists: {name}"}, status=409)
        repository.branches[name] = [repository.head()]
        return web.json_response({})

    async def _info(self, request: web.Request) -> web.Response:
        repository, commit = self._located(request)
        answer = {
            "_id": "0" * 24,
            "id": self._repo_id(request),
            "sha": commit.oid,
            "private": repository.private,
            "disabled": False,
            "gated": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "createdAt": WHEN,
            "lastModified": WHEN,
            "siblings": [self._sibling(path, commit.files[path]) for path in sorted(commit.files)],
        }
        if request.match_info["kind"] == "models":
            answer["modelId"] = answer["id"]
            answer["cardData"] = ModelCard(commit.files.get("README.md", b"").decode()).data.to_dict()
        return web.json_response(answer)

    def _sibling(self, path: str, content: bytes) -> dict:
        return {"rfilename": path, "size": self.declared.get(path, len(content))}

    async def _refs(self, request: web.Request) -> web.Response:
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commits[-1].oid}
            for name, commits in self._repository(request).branches.items()
        ]
        return web.json_response({"branches": branches, "tags": [], "converts": []})

    async def _history(self, request: web.Request) -> web.Response:
        revision = unquote(request.match_info["revision"])
        commits = self._repository(request).branches.get(revision)
        if commits is None:
            raise _missing("RevisionNotFound", f"Invalid rev id: {revision}")
        return web.json_response(
            [{"id": c.oid, "title": c.title, "message": "", "authors": [], "date": WHEN} for c in reversed(commits)]
        )

    async def _tree(self, request: web.Request) -> web.Response:
        _, commit = self._located(request)
        folder = request.match_info["path"].strip("/")
        recursive = request.query.get("recursive", "false").lower() in ("true", "1")
        entries: dict[str, dict] = {}
        for path, content in commit.files.items():
            if folder and not path.startswith(folder + "/"):
                continue
            parts = path[len(folder) :].strip("/").split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                parent = "/".join(([folder] if folder else []) + parts[:depth])
                entries[parent] = {"type": "directory", "oid": _oid(parent), "size": 0, "path": parent}
            if recursive or len(parts) == 1:
                entries[path] = self._entry(path, content)
        if folder and not entries:
            raise _missing("EntryNotFound", f"{folder} does not exist")
        return web.json_response(list(entries.values()))

    async def _paths_info(self, request: web.Request) -> web.Response:
        _, commit = self._located(request)
        posted = await request.post() if request.content_type != "application/json" else None
        paths = (await request.json())["paths"] if posted is None else posted.getall("paths")
        return web.json_response([self._entry(p, commit.files[p]) for p in paths if p in commit.files])

    async def _preupload(self, request: web.Request) -> web.Response:
        _, commit = self._located(request)
        answers = []
        for asked in (await request.json())["files"]:
            path = asked["path"]
            current = commit.files.get(path)
            answers.append(
                {
                    "path": path,
                    "uploadMode": "lfs" if path.endswith(LARGE_FILES) else "regular",
                    "shouldIgnore": False,
                    "oid": None if current is None else self._entry(path, current)["oid"],
                }
            )
        return web.json_response({"files": answers})

    async def _large_batch(self, request: web.Request) -> web.Response:
        objects = []
        for wanted in (await request.json())["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self._large:
                entry["actions"] = {"upload": {"href": f"{self.url}/_lfs/{wanted['oid']}", "header": {}}}
            objects.append(entry)
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _large_put(self, request: web.Request) -> web.Response:
        content = await request.read()
        if hashlib.sha256(content).hexdigest() != request.match_info["oid"]:
            return web.json_response({"error": "sha256 does not match"}, status=400)
        self._large[request.match_info["oid"]] = content
        return web.Response()

    async def _commit(self, request: web.Request) -> web.Response:
        repository, head = self._located(request)
        branch = unquote(request.match_info["revision"])
        lines = [json.loads(line) for line in (await request.read()).splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, head.oid):
            return web.json_response(
                {"error": "A commit has happened since. Please refresh and try again."}, status=412
            )
        files = dict(head.files)
        for line in lines:
            self._apply(files, line["key"], line["value"])
        commit = Commit(_oid(f"{head.oid}{header['summary']}{sorted(files)}"), header["summary"], files)
        url = f"{self.url}/{self._repo_id(request)}"
        answer = {"success": True, "commitOid": commit.oid, "commitUrl": f"{url}/commit/{commit.oid}"}
        if request.query.get("create_pr") == "1":
            number = 1 + sum(name.startswith("refs/pr/") for name in repository.branches)
            repository.branches[f"refs/pr/{number}"] = [head, commit]
            return web.json_response({**answer, "pullRequestUrl": f"{url}/discussions/{number}"})
        repository.branches[branch].append(commit)
        return web.json_response(answer)

    async def _discussions(self, request: web.Request) -> web.Response:
        """List the pull requests, newest first."""
        branches = self._repository(request).branches
        opened = [(int(name[8:]), commits[-1]) for name, commits in branches.items() if name.startswith("refs/pr/")]
        listed = [
            {
                "num": number,
                "title": commit.title,
                "isPullRequest": True,
                "status": "open",
                "author": {"name": OWNER},
                "createdAt": WHEN,
                "repo": {"name": self._repo_id(request), "type": request.match_info["kind"][:-1]},
            }
            for number, commit in sorted(opened, key=lambda found: -found[0])
        ]
        return web.json_response({"discussions": listed, "count": len(listed), "start": 0})

    def _apply(self, files: dict[str, bytes], key: str, value: dict) -> None:
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in self._large:
                raise web.HTTPBadRequest(text=json.dumps({"error": "LFS object is missing"}))
            files[value["path"]] = self._large[value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]
        elif key == "deletedFolder":
            for path in [p for p in files if p.startswith(value["path"])]:
                del files[path]

    async def _job(self, request: web.Request) -> web.Response:
        self.jobs.append(await request.json())
        answer = {"id": f"job-{len(self.jobs)}", "createdAt": WHEN, "owner": {"id": "0", "name": OWNER, "type": "user"}}
        return web.json_response({**answer, "status": {"stage": "RUNNING", "message": None}})

    async def _bucket(self, request: web.Request) -> web.Response:
        files = self.buckets[self._repo_id(request)]
        size = sum(map(len, files.values()))
        answer = {"id": self._repo_id(request), "private": True, "createdAt": WHEN, "updatedAt": WHEN}
        return web.json_response({**answer, "size": size, "totalFiles": len(files)})

    async def _bucket_paths(self, request: web.Request) -> web.Response:
        files = self.buckets[self._repo_id(request)]
        paths = (await request.json())["paths"]
        return web.json_response([self._bucket_entry(path, files[path]) for path in paths if path in files])

    async def _bucket_tree(self, request: web.Request) -> web.Response:
        files = self.buckets[self._repo_id(request)]
        return web.json_response([self._bucket_entry(path, content) for path, content in files.items()])

    async def _bucket_file(self, request: web.Request) -> web.Response:
        content = self.buckets[self._repo_id(request)][request.match_info["path"]]
        return self._content(request, content, {})

    @staticmethod
    def _bucket_entry(path: str, content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        return {
            "type": "file",
            "path": path,
            "size": len(content),
            "xetHash": digest,
            "mtime": WHEN,
            "uploadedAt": WHEN,
        }

    async def _resolve(self, request: web.Request) -> web.Response:
        _, commit = self._located(request)
        path = request.match_info["path"]
        if path not in commit.files:
            raise _missing("EntryNotFound", f"{path} does not exist", {"X-Repo-Commit": commit.oid})
        return self._content(request, commit.files[path], {"X-Repo-Commit": commit.oid})

    def _content(self, request: web.Request, content: bytes, more: dict[str, str]) -> web.Response:
        headers = {
            **more,
            "ETag": f'"{_blob_oid(content)}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if asked is None:
            self.served += len(content) * (request.method == "GET")
            return web.Response(body=content, headers=headers)
        start, stop = int(asked[1]), int(asked[2] or len(content) - 1) + 1
        headers["Content-Range"] = f"bytes {start}-{min(stop, len(content)) - 1}/{len(content)}"
        self.served += len(content[start:stop])
        return web.Response(status=206, body=content[start:stop], headers=headers)

    # Where a request points

    def _repo_id(self, request: web.Request) -> str:
        return f"{request.match_info['owner']}/{request.match_info['name']}"

    def _repository(self, request: web.Request) -> Repository:
        repository = self.repositories.get((request.match_info.get("kind", "models"), self._repo_id(request)))
        if repository is None:
            raise _missing("RepoNotFound", "Repository not found")
        if self._repo_id(request) in self._gated:
            raise web.HTTPForbidden(
                headers={"X-Error-Code": "GatedRepo"},
                text=json.dumps({"error": "Access to this model is restricted"}),
                content_type="application/json",
            )
        return repository

    def _located(self, request: web.Request) -> tuple[Repository, Commit]:
        repository = self._repository(request)
        return repository, repository.head(unquote(request.match_info.get("revision", "main")))

    @staticmethod
    def _entry(path: str, content: bytes) -> dict:
        entry = {"type": "file", "oid": _blob_oid(content), "size": len(content), "path": path}
        if path.endswith(LARGE_FILES):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["oid"] = sha256  # what the client compares a large file with
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 128}
        return entry


def _oid(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def _blob_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _missing(code: str, message: str, headers: dict[str, str] | None = None) -> web.HTTPNotFound:
    return web.HTTPNotFound(
        headers={"X-Error-Code": code, **(headers or {})},
        text=json.dumps({"error": message}),
        content_type="application/json",
    )
