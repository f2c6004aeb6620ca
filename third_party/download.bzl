"""What repository rules that download files have in common."""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "read_user_netrc", "use_netrc")

def credentials(rctx, urls):
    """Returns the value of `auth` for a download: the logins of the user's `.netrc`, or the file in the variable NETRC.

    Args:
        rctx: of the rule.
        urls: list of URLs.
    """
    return use_netrc(read_user_netrc(rctx), urls, {})

def reproducible(rctx):
    """Returns what an implementation returns whose repository depends on its attributes alone.

    Bazel may then cache it for other workspaces; versions before 8.3 don't know that.

    Args:
        rctx: of the rule.
    """
    return rctx.repo_metadata(reproducible = True) if hasattr(rctx, "repo_metadata") else None
