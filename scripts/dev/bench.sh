# ./dev bench [NAME [OPTION ...]]: runs bench/NAME.py with the options, or all there are.

dev_bench() {
  local name=${1:-} program found=0
  [ $# -gt 0 ] && shift
  install_listed_packages packaging/debian-packages.txt
  install_listed_packages packaging/bench-packages.txt # the peers, and what makes the disks
  configure release
  ninja -C build -j "$JOBS" atelier nbdkit_atelier_plugin bench_programs
  for program in bench/${name:-*}.py; do
    [ -f "$program" ] || continue
    found=1
    /usr/bin/python3 "$program" "$@" </dev/null # Debian's own, which has the packages' modules
  done
  [ $found = 1 ] || { echo "dev: there is no measurement '$name' in bench/" >&2; return 1; }
}
