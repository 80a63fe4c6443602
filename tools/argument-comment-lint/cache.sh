# Sourced: where the built lint lies. POSIX sh. Reads $here, sets $target_dir and $cached_lint.
#
# The dependencies take minutes to build and seldom change, so their folder is named after what they are made
# of: lock file, manifest (which has the profile) and compiler. The binary in it is named after its own source,
# so that a change of the source builds the source alone.

if ! toolchain=$(cd "$here" && rustc -vV 2>/dev/null); then
  echo "argument-comment-lint needs rustc and cargo: install them with https://rustup.rs" >&2
  exit 1
fi

fingerprint() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -c1-16
}

made_of=$({ printf '%s\n' "$toolchain"; cat "$here/Cargo.lock" "$here/Cargo.toml"; } | fingerprint)
source_is=$(cd "$here" && find src -type f | LC_ALL=C sort | while read -r file; do
  printf '%s\n' "$file"
  cat "$file"
done | fingerprint)

target_dir="${XDG_CACHE_HOME:-$HOME/.cache}/app-server-ci/argument-comment-lint-$made_of"
cached_lint="$target_dir/argument-comment-lint-$source_is"

# Cargo tells by time stamps whether the lint's own sources changed, and those of one clone say nothing about
# another: what lies here may be younger than our sources and yet be built of others. So the lint itself, not what
# it depends on, is always built anew.
forget_own_build() {
  cargo clean --quiet --release --package argument-comment-lint --manifest-path "$here/Cargo.toml" \
    --target-dir "$target_dir"
}
