#!/usr/bin/env bash
# All tests of konlog: what CI runs. Needs Go; the client's, the console's and
# the browser tests need Node, and Chromium for the last. Chromium is installed
# where that is possible (Debian, root). What cannot run is left out with a word
# (with CI=true that is an error). For Go's own tests alone: go test ./...
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
notes=() doing='' began=0

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
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
}

die() {
  printf 'FAILED: %s\n' "$1"
  if [ "$failed" -eq 0 ]; then failed=1; fi
  total
  exit 1
}

# leave_out says what is not tested here and why. CI tests all of it.
leave_out() {
  [ "${CI:-}" != true ] || die "$1"
  notes+=("$1")
  skipped=$((skipped + 1))
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

step gosec
# It ends with an error when it finds anything; what it found is judged by the
# table of docs/SECURITY.md.
go run "$GOSEC" -quiet -fmt json -out "$logs/gosec.json" ./... >"$logs/gosec" 2>&1 || true
[ -s "$logs/gosec.json" ] || { cat "$logs/gosec"; die "gosec did not run"; }
KONLOG_GOSEC=$logs/gosec.json go test -count=1 -run '^TestGosec$' ./internal/tidy || die "gosec: mend it, or argue in docs/SECURITY.md"

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

step a build without the console
if ! { go build -tags noui -o "$logs/konlog" ./cmd/konlog && go vet -tags noui ./web ./api && go test -count=1 -tags noui -v -run 'Console|Head' ./web ./api; } >"$logs/noui" 2>&1; then
  count "$logs/noui"
  cat "$logs/noui"
  die "a build with -tags noui"
fi
count "$logs/noui"

step a build with OpenTelemetry
if ! { go build -tags otel -o "$logs/konlog" ./cmd/konlog && go vet -tags otel ./trace ./cmd/konlog && go test -race -count=1 -timeout=5m -tags otel -v -run Trace ./cmd/konlog &&
  go test -race -count=1 -timeout=5m -tags otel -v ./trace; } >"$logs/otel" 2>&1; then
  count "$logs/otel"
  cat "$logs/otel"
  die "a build with -tags otel"
fi
count "$logs/otel"

# What is checked of the client and the console in moments comes before the
# tests that take minutes.
node=true
if ! command -v npm >/dev/null; then
  node=false
  leave_out "the tests of the client and the console were left out: they need Node"
else
  step npm ci
  npm ci --no-audit --no-fund --loglevel=error || die "npm ci"

  step "types of client and console"
  npm run --silent print -w client/schema >"$logs/schema.ts" || die "npm run print"
  cmp client/js/src/schema.ts "$logs/schema.ts" || die "client/js/src/schema.ts is not that of api/openapi.json: npm run generate, and commit it"
  npm run --silent check || die "tsc"

  step "size of the client"
  npm run --silent size || die "the client is over its budget"

  step "build of the console"
  (cd web && npx vite build --logLevel warn --outDir "$logs/dist" --emptyOutDir &&
    npx vite build --logLevel warn -c vite.export.config.ts --outDir "$logs/replay" --emptyOutDir) || die "npm run build"
  diff -rq web/dist "$logs/dist" || die "web/dist is not what web/src makes: npm run build, and commit it"
  diff -rq web/replay/dist "$logs/replay" || die "web/replay/dist is not what web/src makes: npm run build, and commit it"
  # What was made and not committed agrees here, and is missing in a clone.
  uncommitted=$(git ls-files -o -- web/dist web/replay/dist client/js/src/schema.ts)
  [ -z "$uncommitted" ] || [ "${CI:-}" != true ] || die "not committed: $uncommitted"
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
if ! go test -race -count=1 -timeout=40m -v ./... >"$logs/test" 2>&1; then
  count "$logs/test"
  grep -vE '^(=== |ok |\?|PASS| *--- (PASS|SKIP))' "$logs/test" | tail -n 200
  die "go test"
fi
count "$logs/test"
grep -E '^(ok|\?)' "$logs/test"

step "power loss, slow readers, a virtual day and large bodies, without the race detector"
if ! KONLOG_SLOW_FULL=1 KONLOG_SOAK_HOURS=24 go test -count=1 -p 1 -timeout=10m -v -run 'SlowReaders|PowerLoss|VirtualDay|LargeBodies' ./internal/parity ./store/sqlite ./internal/soak ./internal/edge >"$logs/slow" 2>&1; then
  count "$logs/slow"
  cat "$logs/slow"
  die "power loss, slow readers, a virtual day or large bodies"
fi
count "$logs/slow"
grep -E 'producer|p99|heap|images|^ok' "$logs/slow"

step "fuzz, $FUZZ_TIME each"
for dir in $(git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n 1 dirname | sort -u); do
  go test -c -fuzz . -o "$logs/fuzz.test" "./$dir" || die "build of the fuzz tests in $dir"
  for target in $(cd "$dir" && "$logs/fuzz.test" -test.list '^Fuzz'); do
    # In the package's folder, where what fails is kept as a seed.
    if ! (cd "$dir" && "$logs/fuzz.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$FUZZ_TIME" -test.fuzzminimizetime 10x -test.fuzzcachedir "$logs/corpus/$dir") >"$logs/fuzz" 2>&1; then
      cat "$logs/fuzz"
      failed=$((failed + 1))
      die "$target in $dir"
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
    die "vitest"
  fi
  grep -E '^ *(Test Files|Tests|Duration)' "$logs/vitest" || true

  step "agents' own programs"
  # Hundreds of megabytes of others' programs: where they cannot be had, that is said and no failure of ours.
  if npm ci --prefix internal/realagents --no-audit --no-fund --loglevel=error >"$logs/agents" 2>&1; then
    KONLOG_AGENTS=$PWD/internal/realagents/node_modules/.bin go test -count=1 -timeout=10m -v ./internal/realagents >"$logs/agents" 2>&1 || {
      count "$logs/agents"
      grep -vE '^(=== |PASS| *--- (PASS|SKIP))' "$logs/agents" | tail -n 200
      die "agents' own programs"
    }
    count "$logs/agents"
    grep -E '^ok' "$logs/agents"
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
      die "browser"
    fi
  fi
fi

total
