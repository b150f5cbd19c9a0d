#!/usr/bin/env bash
# All tests of konlog: what CI runs. Needs Go; the browser test needs Node and
# Chromium as well. Chromium is installed where that is possible (Debian, root);
# else the test is left out with a word (with CI=true that is an error). For
# Go's own tests alone: go test ./...
set -euo pipefail
cd "$(dirname "$0")"

STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK=golang.org/x/vuln/cmd/govulncheck@v1.8.0
FUZZ_TIME=${FUZZ_TIME:-2s}
export KONLOG_CRASH_ROUNDS=${KONLOG_CRASH_ROUNDS:-30}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
passed=0 failed=0 skipped=0
notes=()

step() { printf '== %s (%ds)\n' "$*" "$SECONDS"; }

# count adds the verdicts of a log of go test -v. A subtest counts as a test.
count() {
  passed=$((passed + $(grep -cE '^ *--- PASS' "$1" || true)))
  failed=$((failed + $(grep -cE '^ *--- FAIL' "$1" || true)))
  skipped=$((skipped + $(grep -cE '^ *--- SKIP' "$1" || true)))
}

total() {
  for note in ${notes[@]+"${notes[@]}"}; do printf 'note: %s\n' "$note"; done
  printf 'took %d s\n' "$SECONDS"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
}

die() {
  printf 'FAILED: %s\n' "$1"
  if [ "$failed" -eq 0 ]; then failed=1; fi
  total
  exit 1
}

step gofmt
unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)
[ -z "$unformatted" ] || die "not gofmt-clean: $unformatted"

step go vet
go vet ./... || die "go vet"

step go build
go build ./... || die "go build"

step staticcheck
go run "$STATICCHECK" ./... || die "staticcheck"

step govulncheck
if ! go run "$GOVULNCHECK" ./... >"$logs/vuln" 2>&1; then
  # Only this condition is let pass: the database could not be reached at all.
  # Anything else, a finding above all, fails.
  if grep -qE '^govulncheck: fetching vulnerabilities: Get .*(dial tcp|proxyconnect|i/o timeout|Forbidden)' "$logs/vuln"; then
    notes+=("govulncheck did not run: its database cannot be reached from this machine")
    printf '%s\n' "${notes[-1]}"
  else
    cat "$logs/vuln"
    die "govulncheck"
  fi
else
  tail -n 3 "$logs/vuln"
fi

step "go test -race, $KONLOG_CRASH_ROUNDS crash rounds"
if ! go test -race -count=1 -timeout=20m -v ./... >"$logs/test" 2>&1; then
  count "$logs/test"
  grep -vE '^(=== |ok |\?|PASS| *--- (PASS|SKIP))' "$logs/test" | tail -n 200
  die "go test"
fi
count "$logs/test"
grep -E '^(ok|\?)' "$logs/test"

step "power loss and slow readers, without the race detector"
if ! KONLOG_SLOW_FULL=1 go test -count=1 -p 1 -timeout=5m -v -run 'SlowReaders|PowerLoss' ./internal/parity ./store/sqlite >"$logs/slow" 2>&1; then
  count "$logs/slow"
  cat "$logs/slow"
  die "power loss or slow readers"
fi
count "$logs/slow"
grep -E 'producer|p99|heap|images|^ok' "$logs/slow"

step "fuzz, $FUZZ_TIME each"
for pkg in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
    if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZ_TIME" "$pkg" >"$logs/fuzz" 2>&1; then
      cat "$logs/fuzz"
      failed=$((failed + 1))
      die "$target in $pkg"
    fi
    passed=$((passed + 1))
    printf '%s %s\n' "$target" "$(grep -o 'execs: [0-9]*' "$logs/fuzz" | tail -n 1)"
  done
done

step browser
if ! command -v chromium-headless-shell >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core >/dev/null
fi
chromium=${CHROMIUM:-$(command -v chromium-headless-shell || command -v chromium || command -v google-chrome || true)}
if [ -z "$chromium" ] || ! command -v npm >/dev/null; then
  [ "${CI:-}" != true ] || die "the browser test needs Node and Chromium"
  notes+=("the browser test was left out: it needs Node and Chromium")
  skipped=$((skipped + 1))
else
  (cd e2e && npm ci --no-audit --no-fund --loglevel=error) || die "npm ci"
  ok=true
  (cd e2e && CHROMIUM="$chromium" node --test --test-reporter=tap browser.test.mjs replay.test.mjs) >"$logs/browser" 2>&1 || ok=false
  grep -E '^ *(not )?ok |^# (tests|pass|fail)' "$logs/browser" || true
  passed=$((passed + $(sed -n 's/^# pass //p' "$logs/browser" | head -n 1)))
  failed=$((failed + $(sed -n 's/^# fail //p' "$logs/browser" | head -n 1)))
  if [ "$ok" != true ]; then
    cat "$logs/browser"
    die "browser"
  fi
fi

total
