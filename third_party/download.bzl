"""What repository rules that download files have in common."""

def reproducible(rctx):
    """Returns what an implementation returns whose repository depends on its attributes alone.

    Bazel may then cache it for other workspaces; versions before 8.3 don't know that.

    Args:
        rctx: of the rule.
    """
    return rctx.repo_metadata(reproducible = True) if hasattr(rctx, "repo_metadata") else None
