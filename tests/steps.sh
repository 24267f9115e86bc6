# Steps of a run: each announced, timed, and named at the end together with what was left out. Sourced by tests/run and
# .ci/run. The first step that fails ends the run, because what comes after it would only bury the reason.

steps_done=()
steps_left_out=()
step_under_way=

say() { printf '== %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# step NAME COMMAND...
step() {
    local name=$1 began=$SECONDS
    shift
    step_under_way=$name
    say "$name"
    "$@" || fail "failed: $name (status $?, after $((SECONDS - began)) s)"
    steps_done+=("$name: ok, $((SECONDS - began)) s")
    step_under_way=
    say "${steps_done[-1]}"
}

# left_out WHAT WHY
left_out() { steps_left_out+=("$1: $2"); }

# For the exit trap: says what ran and what did not.
summary() {
    local line
    say "summary of $(basename "$(dirname "$0")")/$(basename "$0"), $SECONDS s"
    for line in "${steps_done[@]}"; do printf '   ran      %s\n' "$line" >&2; done
    if [ -n "$step_under_way" ]; then printf '   FAILED   %s; nothing after it ran\n' "$step_under_way" >&2; fi
    for line in "${steps_left_out[@]}"; do printf '   not run  %s\n' "$line" >&2; done
}

# install PACKAGE: with apt-get, as root or through sudo; status 1 when that cannot be.
install() {
    local as_root=()
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || return 1
        as_root=(sudo)
        # Nobody is there to type a password.
        if [ -n "${CI:-}" ] || ! [ -t 0 ]; then as_root+=(-n); fi
    fi
    say "installing the package $1"
    # Lists that are out of reach may still be good enough: the installation decides.
    "${as_root[@]}" apt-get update -q >&2 || say "apt-get update failed; trying with the lists that are here"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$1" >&2
}
