#!/usr/bin/env bash
# All tests of konlog: what CI runs. Needs Go; the client's, the console's and
# the browser tests need Node, and Chromium for the last. Chromium is installed
# where that is possible (Debian, root). What cannot run is left out with a word
# (with CI=true that is an error). For Go's own tests, without the long ones: go test ./...
set -euo pipefail
cd "$(dirname "$0")"

STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOSEC=github.com/securego/gosec/v2/cmd/gosec@v2.27.1
GOVULNCHECK=golang.org/x/vuln/cmd/govulncheck@v1.8.0
# How long each fuzz target runs, as for -fuzztime. By default a number of
# executions: when its seconds are over, a worker that is still busy counts as
# a failure, which on a busy machine it often is.
FUZZ_TIME=${FUZZ_TIME:-2000x}
export KONLOG_LONG=1 # with what takes longer than go test ./... is to take
export KONLOG_CRASH_ROUNDS=${KONLOG_CRASH_ROUNDS:-30}

# What programs print need not be text, and is looked through all the same.
grep() { command grep -a "$@"; }

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
passed=0 failed=0 skipped=0
notes=() failures=() doing='' began=0

# step ends the step before, with its time, and begins the next one.
step() {
  if [ -n "$doing" ]; then printf '   %s: %d s\n' "$doing" $((SECONDS - began)); fi
  doing=$* began=$SECONDS
  if [ -n "$doing" ]; then printf '== %s\n' "$doing"; fi
}

# count adds the verdicts of a log of go test -v. A subtest counts as a test.
count() {
  passed=$((passed + $(grep -cE '^ *--- PASS' "$1" || true)))
  failed=$((failed + $(grep -cE '^ *--- FAIL' "$1" || true)))
  skipped=$((skipped + $(grep -cE '^ *--- SKIP' "$1" || true)))
}

total() {
  step
  for note in ${notes[@]+"${notes[@]}"}; do printf 'note: %s\n' "$note"; done
  printf 'took %d s\n' "$SECONDS"
  # What failed without a test that says so counts too.
  if [ "$failed" -lt "${#failures[@]}" ]; then failed=${#failures[@]}; fi
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
}

# fail says what failed, and lets the steps that come go on: one run tells all.
fail() {
  printf 'FAILED: %s\n' "$1"
  failures+=("$1")
}

# finish says all of it once more, where a long log ends.
finish() {
  total
  for failure in ${failures[@]+"${failures[@]}"}; do printf 'FAILED: %s\n' "$failure"; done
  [ "${#failures[@]}" -eq 0 ] || exit 1
}

# go_tests runs the command of Go's tests, counts them, and prints what did not pass.
go_tests() {
  local name=$1 ok=true
  shift
  "$@" >"$logs/go" 2>&1 || ok=false
  count "$logs/go"
  grep -E '^ok' "$logs/go" || true
  if [ "$ok" != true ]; then
    # What failed comes first: a long log may be cut short where it is shown.
    grep -vE '^(=== |ok |\?|PASS| *--- (PASS|SKIP))' "$logs/go" >"$logs/said" || true
    grep -E '^ *--- FAIL|^(FAIL|panic|fatal error)|DATA RACE' "$logs/said" | head -n 60 || true
    grep -B 15 -A 15 -E '^ *--- FAIL|^(panic|fatal error)|DATA RACE' "$logs/said" | head -n 300 || true
    fail "$name"
  fi
}

# leave_out says what is not tested here and why. CI tests all of it.
leave_out() {
  if [ "${CI:-}" = true ]; then
    fail "$1"
    return
  fi
  notes+=("$1")
  skipped=$((skipped + 1))
}

step gofmt
unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)
[ -z "$unformatted" ] || fail "not gofmt-clean: $unformatted"

step go vet
go vet ./... || fail "go vet"

step go build
if ! go build ./...; then
  fail "go build"
  finish # nothing of what follows would say more
fi

step staticcheck
go run "$STATICCHECK" ./... || fail "staticcheck"

step gosec
# It ends with an error when it finds anything; what it found is judged by the
# table of docs/SECURITY.md.
go run "$GOSEC" -quiet -fmt json -out "$logs/gosec.json" ./... >"$logs/gosec" 2>&1 || true
[ -s "$logs/gosec.json" ] || cat "$logs/gosec"
KONLOG_GOSEC=$logs/gosec.json go test -count=1 -run '^TestGosec$' ./internal/tidy || fail "gosec: mend it, or argue in docs/SECURITY.md"

step govulncheck
if ! go run "$GOVULNCHECK" ./... >"$logs/vuln" 2>&1; then
  # Only this condition is let pass: the database could not be reached at all.
  # Anything else, a finding above all, fails.
  if grep -qE '^govulncheck: fetching vulnerabilities: Get .*(dial tcp|proxyconnect|i/o timeout|Forbidden)' "$logs/vuln"; then
    notes+=("govulncheck did not run: its database cannot be reached from this machine")
    printf '%s\n' "${notes[-1]}"
  else
    cat "$logs/vuln"
    fail "govulncheck"
  fi
else
  tail -n 3 "$logs/vuln"
fi

step a build without the console
without_console() {
  go build -tags noui -o "$logs/konlog" ./cmd/konlog && go vet -tags noui ./web ./api &&
    go test -count=1 -tags noui -v -run 'Console|Head' ./web ./api
}
go_tests "a build with -tags noui" without_console

step a build with OpenTelemetry
with_opentelemetry() {
  go build -tags otel -o "$logs/konlog" ./cmd/konlog && go vet -tags otel ./trace ./cmd/konlog &&
    go test -race -count=1 -timeout=5m -tags otel -v -run Trace ./cmd/konlog &&
    go test -race -count=1 -timeout=5m -tags otel -v ./trace
}
go_tests "a build with -tags otel" with_opentelemetry

# What is checked of the client and the console in moments comes before the
# tests that take minutes.
node=true
if ! command -v npm >/dev/null; then
  node=false
  leave_out "the tests of the client and the console were left out: they need Node"
else
  step npm ci
  if ! npm ci --no-audit --no-fund --loglevel=error; then
    fail "npm ci"
    node=false
  fi
fi
if [ "$node" = true ]; then

  step "types of client and console"
  npm run --silent print -w client/schema >"$logs/schema.ts" || fail "npm run print"
  cmp client/js/src/schema.ts "$logs/schema.ts" || fail "client/js/src/schema.ts is not that of api/openapi.json: npm run generate, and commit it"
  npm run --silent check || fail "tsc"

  step "size of the client"
  npm run --silent size || fail "the client is over its budget"

  step "build of the console"
  (cd web && npx vite build --logLevel warn --outDir "$logs/dist" --emptyOutDir &&
    npx vite build --logLevel warn -c vite.export.config.ts --outDir "$logs/replay" --emptyOutDir) || fail "npm run build"
  diff -rq web/dist "$logs/dist" || fail "web/dist is not what web/src makes: npm run build, and commit it"
  diff -rq web/replay/dist "$logs/replay" || fail "web/replay/dist is not what web/src makes: npm run build, and commit it"
  # What was made and not committed agrees here, and is missing in a clone.
  uncommitted=$(git ls-files -o -- web/dist web/replay/dist client/js/src/schema.ts)
  [ -z "$uncommitted" ] || [ "${CI:-}" != true ] || fail "not committed: $uncommitted"
fi

missing=()
for program in nginx haproxy caddy; do command -v "$program" >/dev/null || missing+=("$program"); done
if [ "${#missing[@]}" -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  step "reverse proxies: ${missing[*]}"
  apt-get update -qq || true
  # Their services are not to start (RUNLEVEL=1), and Caddy is not everywhere.
  for program in "${missing[@]}"; do
    package=$program
    if [ "$program" = nginx ]; then package=nginx-light; fi
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || true
  done
fi
for program in nginx haproxy; do
  command -v "$program" >/dev/null || leave_out "the tests behind $program were left out: it is not installed"
done

step "go test -race, $KONLOG_CRASH_ROUNDS crash rounds"
go_tests "go test" go test -race -count=1 -timeout=40m -v ./...

step "power loss, slow readers, a virtual day and large bodies, without the race detector"
KONLOG_SLOW_FULL=1 KONLOG_SOAK_HOURS=24 go_tests "power loss, slow readers, a virtual day or large bodies" \
  go test -count=1 -p 1 -timeout=10m -v -run 'SlowReaders|PowerLoss|VirtualDay|LargeBodies' ./internal/parity ./store/sqlite ./internal/soak ./internal/edge
grep -E 'producer|p99|heap|images' "$logs/go" || true

step "fuzz, $FUZZ_TIME each"
for dir in $(git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n 1 dirname | sort -u); do
  if ! go test -c -fuzz . -o "$logs/fuzz.test" "./$dir"; then
    fail "build of the fuzz tests in $dir"
    continue
  fi
  for target in $(cd "$dir" && "$logs/fuzz.test" -test.list '^Fuzz'); do
    # In the package's folder, where what fails is kept as a seed.
    if ! (cd "$dir" && "$logs/fuzz.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$FUZZ_TIME" -test.fuzzminimizetime 10x -test.fuzzcachedir "$logs/corpus/$dir") >"$logs/fuzz" 2>&1; then
      cat "$logs/fuzz"
      failed=$((failed + 1))
      fail "$target in $dir"
      continue
    fi
    passed=$((passed + 1))
    printf '%s %s\n' "$target" "$(grep -o 'elapsed: [^,]*, execs: [0-9]*' "$logs/fuzz" | tail -n 1)"
  done
done

if [ "$node" = true ]; then
  if ! command -v chromium-headless-shell >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    step Chromium
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core >/dev/null
  fi
  chromium=${CHROMIUM:-$(command -v chromium-headless-shell || command -v chromium || command -v google-chrome || true)}
  if [ -n "$chromium" ]; then
    export CHROMIUM=$chromium CHROMIUM_PATH=$chromium
  else
    leave_out "the browser tests were left out: they need Chromium"
  fi

  step "client and console"
  ok=true
  NO_COLOR=1 npx vitest run --reporter=default --reporter=json --outputFile.json="$logs/vitest.json" >"$logs/vitest" 2>&1 || ok=false
  if [ -s "$logs/vitest.json" ]; then
    read -r p f s < <(node -p 'const r = JSON.parse(fs.readFileSync(process.argv[1])); `${r.numPassedTests} ${r.numFailedTests} ${r.numPendingTests + r.numTodoTests}`' "$logs/vitest.json")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  fi
  if [ "$ok" != true ]; then
    cat "$logs/vitest"
    fail "vitest"
  fi
  grep -E '^ *(Test Files|Tests|Duration)' "$logs/vitest" || true

  step "agents' own programs"
  # Hundreds of megabytes of others' programs: where they cannot be had, that is said and no failure of ours.
  if npm ci --prefix internal/realagents --no-audit --no-fund --loglevel=error >"$logs/agents" 2>&1; then
    KONLOG_AGENTS=$PWD/internal/realagents/node_modules/.bin go_tests "agents' own programs" go test -count=1 -timeout=10m -v ./internal/realagents
  else
    notes+=("agents' own programs were not tested: they could not be installed")
    tail -n 5 "$logs/agents"
    skipped=$((skipped + 1))
  fi

  if [ -n "$chromium" ]; then
    step browser
    ok=true
    (cd e2e && node --test --test-concurrency=1 --test-reporter=tap ./*.test.mjs) >"$logs/browser" 2>&1 || ok=false
    # What failed and why comes first: a long log may be cut short where it is shown.
    sed -n '/^ *not ok /,/^ *\.\.\.$/p' "$logs/browser" | grep -vE "^ *(at |---|\.\.\.|type: |location: |failureType: |stack: )" | head -n 60 || true
    grep -E '^ *(not )?ok |^# (tests|pass|fail)' "$logs/browser" || true
    # The sums stand at the end; a run that broke off has none, and has failed.
    sum() { sed -n "s/^# $1 //p" "$logs/browser" | grep . | tail -n 1 || echo 0; }
    passed=$((passed + $(sum pass))) failed=$((failed + $(sum fail))) skipped=$((skipped + $(sum skipped)))
    if [ "$ok" != true ]; then
      cat "$logs/browser"
      fail "browser"
    fi
  fi
fi

finish
