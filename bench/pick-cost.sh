#!/bin/sh
# Instructions per pick (Request::new + select + release), by group size, under callgrind. Repeatable to about 1 %.
# Fails when a pick among 10,000 equal healthy servers costs more than twice one among 3.
set -eu
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "pick-cost: valgrind is needed" >&2; exit 1; }
cargo build --quiet --release --locked -p forebay-balance --example pick_cost
binary="${CARGO_TARGET_DIR:-target}/release/examples/pick_cost"
out="$(mktemp)"
trap 'rm -f "$out"' EXIT
picks=5000

# instructions METHOD SERVERS SHAPE HELD
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no --toggle-collect='*counted*' \
        "$binary" "$1" "$2" "$3" "$4" "$picks" 2>"$out" || { cat "$out" >&2; exit 1; }
    awk -v picks="$picks" '/Collected :/ { printf "%d", $4 / picks }' "$out"
}

# row METHOD SHAPE HELD-PER-MILLE
row() {
    printf '%-8s %-8s %5s' "$1" "$2" "$3"
    for servers in 3 50 1000 10000; do
        printf ' %9s' "$(instructions "$1" "$servers" "$2" $((servers * $3 / 1000)))"
    done
    echo
}

printf '%-8s %-8s %5s %9s %9s %9s %9s\n' method shape held/k 3 50 1000 10000
for method in rr lc; do
    row "$method" equal 0
    row "$method" equal 300
    row "$method" unequal 0
    row "$method" unequal 300
    row "$method" ejected 0
done
picks=20
row rr-scan equal 0
row lc-scan equal 0
picks=5000

for method in rr lc; do
    small="$(instructions "$method" 3 equal 0)"
    large="$(instructions "$method" 10000 equal 0)"
    if [ "$large" -gt $((small * 2)) ]; then
        echo "pick-cost: $method: $large instructions among 10000, $small among 3: more than twice" >&2
        exit 1
    fi
done
