#!/bin/sh
# Tests both wrappers with a lint and a cargo that only print what they were given. POSIX sh, no building.
set -eu
tool=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

mkdir "$scratch/bin" "$scratch/cache"
lint="$scratch/lint"
cat >"$lint" <<'EOF'
#!/bin/sh
for argument in "$@"; do printf '[%s]' "$argument"; done
echo
[ -z "${SHOW_FLAGS:-}" ] || printf 'flags: %s\n' "$ARGUMENT_COMMENT_LINT_FLAGS"
exit "${EXIT_WITH:-0}"
EOF
# Builds by copying the fake lint to where a real build would put it.
cat >"$scratch/bin/cargo" <<EOF
#!/bin/sh
if [ "\$1" = clean ]; then
  echo "cargo \$*" >>"$scratch/cleaned"
  exit
fi
echo "cargo \$*" >>"$scratch/built"
[ "\${BUILD_FAILS:-}" = "" ] || exit 101
while [ "\$1" != --target-dir ]; do shift; done
mkdir -p "\$2/release"
cp "$lint" "\$2/release/argument-comment-lint"
EOF
cat >"$scratch/bin/rustc" <<'EOF'
#!/bin/sh
echo "rustc ${FAKE_RUSTC:-1.0.0}"
EOF
chmod +x "$lint" "$scratch/bin/cargo" "$scratch/bin/rustc"
unset ARGUMENT_COMMENT_LINT_FLAGS ARGUMENT_COMMENT_LINT_BIN
export PATH="$scratch/bin:$PATH" XDG_CACHE_HOME="$scratch/cache"

# expect NAME WANTED GOT
expect() {
  if [ "$2" != "$3" ]; then
    failures=$((failures + 1))
    printf 'FAILED %s\n  wanted: %s\n  got:    %s\n' "$1" "$2" "$3"
  fi
}

# holds NAME PART TEXT
holds() {
  case $3 in
    *"$2"*) ;;
    *) expect "$1" "something with: $2" "$3" ;;
  esac
}

ours="[--manifest-path][$tool/../../Cargo.toml]"
prebuilt() { ARGUMENT_COMMENT_LINT_BIN=$lint sh "$tool/run-prebuilt-linter.sh" "$@"; }
built() { sh "$tool/run.sh" "$@" 2>/dev/null; }

# Both wrappers share every rule about arguments.
for run in prebuilt built; do
  expect "$run: no arguments" \
    "$ours[--workspace][--no-deps][--][--all-targets]" "$($run)"
  expect "$run: a bare separator" \
    "$ours[--workspace][--no-deps][--][--all-targets]" "$($run --)"
  expect "$run: package and tests" \
    "$ours[--no-deps][-p][x][--][--tests]" "$($run -p x -- --tests)"
  expect "$run: fix does not widen" \
    "$ours[--no-deps][--fix][-p][x]" "$($run --fix -p x)"
  expect "$run: fix drops a separator that separates nothing" \
    "$ours[--workspace][--no-deps][--fix]" "$($run --fix --)"
  expect "$run: fix with targets" \
    "$ours[--workspace][--no-deps][--fix][--][--all-targets]" "$($run --fix -- --all-targets)"
  expect "$run: fix behind the separator is cargo's" \
    "$ours[--workspace][--no-deps][--][--fix][--all-targets]" "$($run -- --fix)"
  expect "$run: lib and bins" \
    "$ours[--workspace][--no-deps][--][--lib][--bins]" "$($run -- --lib --bins)"
  expect "$run: explicit manifest and workspace" \
    "[--no-deps][--manifest-path][a b/Cargo.toml][--workspace][--][--all-targets]" \
    "$($run --manifest-path "a b/Cargo.toml" --workspace)"
  expect "$run: explicit manifest alone" \
    "[--no-deps][--manifest-path=x][--][--all-targets]" "$($run --manifest-path=x)"
  expect "$run: manifest behind the separator" \
    "[--no-deps][--][--manifest-path][x][--all-targets]" "$($run -- --manifest-path x)"
  expect "$run: package behind the separator" \
    "$ours[--no-deps][--][-p][x][--all-targets]" "$($run -- -p x)"
  expect "$run: workspace once" \
    "$ours[--no-deps][--workspace][--][--all-targets]" "$($run --workspace)"
  expect "$run: no-deps once" \
    "$ours[--workspace][--no-deps][-D][warnings][--][--all-targets]" "$($run --no-deps -D warnings)"
  expect "$run: a separator is kept once, what follows is forwarded as it is" \
    "$ours[--workspace][--no-deps][--][--][--all-targets]" "$($run -- --)"
  expect "$run: arguments with blanks stay whole" \
    "$ours[--workspace][--no-deps][--message-format][a  b][--][--features][c d][--all-targets]" \
    "$($run --message-format "a  b" -- --features "c d")"
  expect "$run: an empty argument stays" \
    "$ours[--workspace][--no-deps][][--][--all-targets]" "$($run "")"
  for package in -px --package=x; do
    expect "$run: $package" "$ours[--no-deps][$package][--][--all-targets]" "$($run $package)"
  done
  for target in --all-targets --lib --bins --tests --examples --benches --doc \
    --bin=x --test=x --example=x --bench=x; do
    expect "$run: $target" "$ours[--workspace][--no-deps][--][$target]" "$($run -- $target)"
    # Before the separator this is the lint's own affair, which refuses it.
    expect "$run: $target for the lint" \
      "$ours[--workspace][--no-deps][$target][--][--all-targets]" "$($run $target)"
  done
  for target in --bin --test --example --bench; do
    expect "$run: $target" "$ours[--workspace][--no-deps][--][$target][x]" "$($run -- $target x)"
  done

  flags() { SHOW_FLAGS=yes $run -- --lib | sed -n 's/^flags: //p'; }
  mismatch="-D argument-comment-mismatch" uncommented="-D uncommented-anonymous-literal-argument"
  expect "$run: both lints are denied" "$mismatch $uncommented" "$(flags)"
  expect "$run: a level of the caller stays" "-A argument-comment-mismatch $uncommented" \
    "$(ARGUMENT_COMMENT_LINT_FLAGS="-A argument-comment-mismatch" flags)"
  expect "$run: underscores are the same name" \
    "-W uncommented_anonymous_literal_argument $mismatch" \
    "$(ARGUMENT_COMMENT_LINT_FLAGS="-W uncommented_anonymous_literal_argument" flags)"

  for status in 0 1 2 77; do
    got=0
    EXIT_WITH=$status $run >/dev/null || got=$?
    expect "$run: exit status $status" "$status" "$got"
  done
done

# What only run.sh does.
rm -rf "$scratch/cache" "$scratch/built" "$scratch/cleaned"
said=$(sh "$tool/run.sh" 2>&1 >/dev/null)
holds "run.sh says that it builds" "building argument-comment-lint" "$said"
holds "run.sh builds what is locked" "build --quiet --release --locked --manifest-path $tool/Cargo.toml" \
  "$(cat "$scratch/built")"
holds "run.sh does not trust another clone's build" "clean --quiet --release --package argument-comment-lint" \
  "$(cat "$scratch/cleaned")"
expect "run.sh is silent when it is built" "" "$(sh "$tool/run.sh" 2>&1 >/dev/null)"
expect "run.sh builds once" 1 "$(grep -c . "$scratch/built")"
said=$(FAKE_RUSTC=2.0.0 sh "$tool/run.sh" 2>&1 >/dev/null)
expect "run.sh builds again for another compiler" 2 "$(grep -c . "$scratch/built")"
expect "each compiler has a folder" 2 \
  "$(find "$scratch/cache/app-server-ci" -name 'argument-comment-lint-*' -type d | grep -c .)"
expect "the prebuilt wrapper finds what run.sh built" \
  "$ours[--workspace][--no-deps][--][--all-targets]" "$(sh "$tool/run-prebuilt-linter.sh")"
got=0
BUILD_FAILS=yes FAKE_RUSTC=3.0.0 sh "$tool/run.sh" >/dev/null 2>&1 || got=$?
expect "a failed build ends it with cargo's status" 101 "$got"

# A changed source is built into the same folder, another lock file into a new one.
copy="$scratch/copy"
mkdir -p "$copy"
cp -R "$tool/src" "$tool/Cargo.toml" "$tool/Cargo.lock" "$tool"/*.sh "$copy"
folders() { find "$scratch/cache/app-server-ci" -name 'argument-comment-lint-*' -type d | grep -c .; }
before=$(folders)
sh "$copy/run.sh" >/dev/null 2>&1
echo "// changed" >>"$copy/src/main.rs"
said=$(sh "$copy/run.sh" 2>&1 >/dev/null)
holds "a changed source is built" "building" "$said"
expect "a changed source keeps the folder" "$before" "$(folders)"
echo "# changed" >>"$copy/Cargo.lock"
sh "$copy/run.sh" >/dev/null 2>&1
expect "a changed lock file has a folder of its own" "$((before + 1))" "$(folders)"

# What is missing is said, with the way out.
missing() { # NAME PART COMMAND...
  name=$1 part=$2 status=0
  shift 2
  said=$("$@" 2>&1) || status=$?
  expect "$name: status" 1 "$status"
  holds "$name" "$part" "$said"
}
missing "no prebuilt lint" "build one with $tool/run.sh" \
  env XDG_CACHE_HOME="$scratch/empty" sh "$tool/run-prebuilt-linter.sh"
missing "a given lint that is not there" "set ARGUMENT_COMMENT_LINT_BIN" \
  env ARGUMENT_COMMENT_LINT_BIN="$scratch/nothing" sh "$tool/run-prebuilt-linter.sh"
missing "a given lint that is a folder" "set ARGUMENT_COMMENT_LINT_BIN" \
  env ARGUMENT_COMMENT_LINT_BIN="$scratch" sh "$tool/run-prebuilt-linter.sh"
mkdir "$scratch/bare"
for program in sh dirname cat cut find sort sha256sum shasum; do
  path=$(command -v "$program") && ln -s "$path" "$scratch/bare/$program"
done
missing "no rustc" "rustup.rs" env PATH="$scratch/bare" sh "$tool/run.sh"
ln -s "$scratch/bin/rustc" "$scratch/bare/rustc"
missing "no cargo" "rustup.rs" env PATH="$scratch/bare" XDG_CACHE_HOME="$scratch/empty" sh "$tool/run.sh"

if [ "$failures" -gt 0 ]; then
  echo "$failures wrapper tests failed"
  exit 1
fi
echo "all wrapper tests passed"
