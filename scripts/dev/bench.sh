# ./dev bench [NAME]: runs bench/NAME, or all there are.

dev_bench() {
  dev_build
  local program found=0
  for program in bench/${1:-*}.py; do
    [ -f "$program" ] || continue
    found=1
    python3 "$program" </dev/null
  done
  [ $found = 1 ] || { echo "dev: there is no measurement '${1:-}' in bench/ yet" >&2; return 1; }
}
