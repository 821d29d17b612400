# ./dev build: release binaries in build/bin, the portal in web/dist.

# configure PRESET: once, and again when CMake's own files ask for it (ninja does that).
configure() {
  local folder=build/$1
  [ "$1" = release ] && folder=build
  [ -f "$folder/build.ninja" ] || cmake --preset "$1" >/dev/null
}

build_portal() {
  local stamp=web/dist/.atelier-stamp
  if [ ! -f $stamp ] || [ -n "$(find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -newer $stamp -print -quit)" ]; then
    echo "dev: building the portal"
    (cd web && npm run --silent build </dev/null)
    touch $stamp
  fi
}

dev_build() {
  dev_setup
  configure release
  ninja -C build -j "$JOBS" atelierd atelier nbdkit_atelier_plugin
  build_portal
}
