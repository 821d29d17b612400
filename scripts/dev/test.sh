# ./dev test: everything that must hold. Each part runs even when an earlier one failed.

ctest_run() { ctest --test-dir "$1" --output-on-failure --no-tests=error -j "$JOBS" "${@:2}" </dev/null; }

test_lint() { dev_lint; }

# Unit tests beside the code, under AddressSanitizer and UndefinedBehaviorSanitizer.
test_unit() {
  configure dev
  ninja -C build/dev -j "$JOBS"
  ctest_run build/dev -LE vm
}

# What runs on several threads, under ThreadSanitizer.
test_tsan() {
  configure tsan
  local programs=(image_test image_reading_test image_source_test ops_test) program
  ninja -C build/tsan -j "$JOBS" "${programs[@]}"
  # Left out: long series of cases on one thread, which part unit runs.
  for program in "${programs[@]}"; do
    TSAN_OPTIONS=halt_on_error=1 timeout 900 "build/tsan/bin/$program" --gtest_brief=1 \
      --gtest_filter='-Seeds/*:Faults/*:SweepAtEveryStep*:RandomOperations*:DiskCacheTest.*:HealTest.EveryPackAndRecord*' </dev/null
  done
}

# A real atelierd, real virtual machines.
test_journeys() {
  dev_build
  tiny_image >/dev/null
  local journey failed=0
  # Real guests boot in the tests of the VM side: without sanitizers, which slow them and their servers down.
  ninja -C build -j "$JOBS" vm_guest_test
  ctest_run build -L vm || failed=1
  for journey in tests/journeys/*_test.py; do
    echo "-- $journey"
    timeout 1500 python3 "$journey" </dev/null || failed=1
  done
  echo "-- faults at system calls"
  timeout 1500 python3 tests/torture/store_torture.py build/bin/atelier </dev/null || failed=1
  return $failed
}

# The portal's own tests, then the story by hand in a real browser.
test_portal() {
  dev_build
  (cd web && npm run --silent test </dev/null)
  tiny_image >/dev/null
  timeout 1500 python3 tests/portal/portal_test.py </dev/null
}

dev_test() {
  dev_setup
  local parts=("$@") part passed=0 failed=()
  [ ${#parts[@]} -gt 0 ] || parts=(lint unit tsan journeys portal)
  for part in "${parts[@]}"; do
    echo "== $part ($(date +%T))"
    # A process of its own, so that errexit holds inside (it would not within a condition).
    if "$ROOT/dev" test-part "$part"; then
      passed=$((passed + 1))
    else
      failed+=("$part")
    fi
  done
  [ ${#failed[@]} -eq 0 ] || echo "dev: failed: ${failed[*]}" >&2
  echo "parts: $passed passed, ${#failed[@]} failed"
  [ ${#failed[@]} -eq 0 ]
}

# ./dev torture: what ./dev test samples, whole. Takes hours.
dev_torture() {
  dev_build
  python3 tests/torture/store_torture.py build/bin/atelier --all "$@" </dev/null
}
