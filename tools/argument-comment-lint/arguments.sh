# Sourced by both wrappers: completes the caller's arguments. POSIX sh.
#
# What stands before the first `--` is for the lint, what stands after it is meant as for cargo. The result is
#   [--manifest-path OURS] [--workspace] [--no-deps] the caller's lint arguments [-- cargo arguments]
# with exactly one `--`, and only if something follows it.
#
# Reads $here, the folder of the tool; replaces "$@" and exports ARGUMENT_COMMENT_LINT_FLAGS.

separated= fixes= has_manifest= has_packages= has_no_deps= has_targets=
for argument in "$@"; do
  if [ -z "$separated" ]; then
    case $argument in
      --) separated=yes ;;
      --fix) fixes=yes ;;
      --no-deps) has_no_deps=yes ;;
    esac
  else
    case $argument in
      --all-targets | --lib | --bins | --tests | --examples | --benches | --doc) has_targets=yes ;;
      --bin | --test | --example | --bench) has_targets=yes ;;
      --bin=* | --test=* | --example=* | --bench=*) has_targets=yes ;;
    esac
  fi
  # Cargo has these too, so they count on both sides.
  case $argument in
    --manifest-path | --manifest-path=*) has_manifest=yes ;;
    -p | -p?* | --package | --package=* | --workspace) has_packages=yes ;;
  esac
done

# A fix rewrites files: it gets the targets that were asked for and no more.
widen=
[ -n "$fixes" ] || [ -n "$has_targets" ] || widen=--all-targets

# Once around, to put the one separator where it belongs.
left=$# separated=
while [ "$left" -gt 0 ]; do
  argument=$1
  shift
  left=$((left - 1))
  if [ -z "$separated" ] && [ "$argument" = -- ]; then
    separated=yes
    [ "$left" -gt 0 ] || [ -n "$widen" ] || continue
  fi
  set -- "$@" "$argument"
done
if [ -n "$widen" ]; then
  [ -n "$separated" ] || set -- "$@" --
  set -- "$@" "$widen"
fi

# A manifest that was named means its own package, as with cargo.
[ -n "$has_no_deps" ] || set -- --no-deps "$@"
[ -n "$has_packages" ] || [ -n "$has_manifest" ] || set -- --workspace "$@"
[ -n "$has_manifest" ] || set -- --manifest-path "$here/../../Cargo.toml" "$@"

# Both lints are denied unless the caller's environment already speaks of them.
for denied in argument-comment-mismatch uncommented-anonymous-literal-argument; do
  case $(printf %s "${ARGUMENT_COMMENT_LINT_FLAGS:-}" | tr _ -) in
    *"$denied"*) ;;
    *) ARGUMENT_COMMENT_LINT_FLAGS="${ARGUMENT_COMMENT_LINT_FLAGS:+$ARGUMENT_COMMENT_LINT_FLAGS }-D $denied" ;;
  esac
done
export ARGUMENT_COMMENT_LINT_FLAGS
