# Sourced by the trials in this folder: a gateway, and what stands behind it, in a folder that goes away at the end.
#
# PORTCULLIS is the program; without it the release build of this checkout is taken, and made where it is missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=${PORTCULLIS:-}
folder=$(mktemp -d)
started=()

if [[ -z $program ]]; then
    (cd "$root" && cargo build --release --locked --quiet)
    program=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/release/portcullis
fi

# Ends what was started, by its pid, the last first.
clean_up() {
    local index
    for ((index = ${#started[@]} - 1; index >= 0; index--)); do
        kill "${started[index]}" 2>/dev/null || true
        wait "${started[index]}" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap clean_up EXIT

# start NAME COMMAND…: in the background, its words in $folder/NAME.log, its pid in $last.
start() {
    local name=$1
    shift
    : >"$folder/$name.log"
    "$@" >"$folder/$name.log" 2>&1 &
    last=$!
    started+=("$last")
}

# said NAME PATTERN: waits until a line of NAME.log holds the pattern, at most ten seconds, and prints that line.
said() {
    local try
    for try in {1..100}; do
        if grep -m1 -E "$2" "$folder/$1.log"; then
            return
        fi
        sleep 0.1
    done
    cat "$folder/$1.log" >&2
    echo "$1 did not say: $2" >&2
    return 1
}

# start_gateway: with the configuration on standard input; $gateway is its pid, $port where it is heard, $ca its
# certificate.
start_gateway() {
    {
        printf '[listen]\nhttps = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n'
        cat
    } >"$folder/gateway.toml"
    start gateway "$program" run -c "$folder/gateway.toml"
    gateway=$last
    port=$(said gateway 'Listening on https' | sed -E 's/.*Listening on https:\/\/127\.0\.0\.1:([0-9]+).*/\1/')
    ca=$folder/certs/dev.crt
}

# A virtual environment with these packages, kept beside what cargo builds: prepare_python NAME PACKAGE…
prepare_python() {
    local environment
    environment=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/by-hand/$1
    shift
    if [[ ! -x $environment/bin/python ]]; then
        python3 -m venv "$environment" >&2
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    fi
    python=$environment/bin/python
}

resident() { awk '/^VmRSS/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$1/status"; }
descriptors() { ls "/proc/$1/fd" | wc -l; }
