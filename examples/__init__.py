"""Scripts and configurations; installed as `unlearn_audit.examples`, where `demo` and `init` find them."""
