#!/usr/bin/env bash
# release_prep.sh TAG: makes the files of a release in dist/, and prints the release notes.
# release_ruleset.yaml, which release.yaml calls, runs it in the checkout of the tag.
set -euo pipefail

tag=${1:?the tag of the release is missing}
version=$(sed -n 's/^    version = "\(.*\)",$/\1/p' MODULE.bazel)
if [ "$tag" != "v$version" ]; then
    echo "error: $tag: MODULE.bazel has version $version; tag the commit that releases it v$version" >&2
    exit 2
fi

# The caller writes its files into the checkout, and releases are made of a clean one.
scratch=$(mktemp --directory)
trap 'rm --recursive --force "$scratch" && git worktree prune' EXIT
git worktree add --quiet --detach "$scratch/sources" HEAD >&2
bazel run //dev/release -- --checkout="$scratch/sources" --output="$PWD/dist" >&2
cat dist/release-notes.md
