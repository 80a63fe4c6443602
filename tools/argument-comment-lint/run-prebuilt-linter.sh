#!/bin/sh
# Runs a lint that is already built: the one in ARGUMENT_COMMENT_LINT_BIN, or what run.sh built of this source.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

lint=${ARGUMENT_COMMENT_LINT_BIN:-}
if [ -z "$lint" ]; then
  . "$here/cache.sh"
  lint=$cached_lint
fi
if [ ! -x "$lint" ] || [ -d "$lint" ]; then
  echo "no built argument-comment-lint at $lint" >&2
  echo "build one with $here/run.sh, or set ARGUMENT_COMMENT_LINT_BIN to one that is built" >&2
  exit 1
fi

. "$here/arguments.sh"
exec "$lint" "$@"
