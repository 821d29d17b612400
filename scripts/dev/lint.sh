# ./dev lint and ./dev fmt: what review should not have to say.

cpp_files() { git ls-files -co --exclude-standard 'src/*.h' 'src/*.cpp' 'bench/*.cpp' 'bench/*.h' 'fuzz/*.cpp'; }

dev_fmt() { cpp_files | xargs -r clang-format-19 -i; }

lint_format() { cpp_files | xargs -r clang-format-19 --dry-run --Werror; }

lint_headers_alone() {
  configure plain
  ninja -C build/plain -j "$JOBS" all_verify_interface_header_sets | tail -n 3
}

# clang-tidy over every source that the build compiles, with the build's own flags.
lint_tidy() {
  configure plain
  python3 scripts/lint/tidy.py build/plain "$JOBS"
}

lint_structure() {
  (cd scripts/lint && python3 structure_test.py 2>&1 | tail -n 3)
  python3 scripts/lint/structure.py .
}

lint_portal() { (cd web && npm run --silent lint </dev/null); }

dev_lint() {
  local failed=0 step
  dev_setup
  for step in structure format headers_alone tidy portal; do
    echo "== lint: ${step//_/ }"
    "lint_$step" || { failed=1; echo "dev: lint step '$step' failed" >&2; }
  done
  return $failed
}
