package agent

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// envSecretBytesMin is the shortest value of a variable that is taken for a
// secret. Shorter ones are settings more often.
const envSecretBytesMin = 8

// What the words of a variable's name say of its value.
var (
	secretWords = []string{"KEY", "TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD", "CREDENTIAL", "CREDENTIALS", "AUTH", "APIKEY", "PAT", "COOKIE"}
	secretEnds  = []string{"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "PWD"} // of a word, such as PGPASSWORD
	plainWords  = []string{"PUBLIC", "PUB", "OLDPWD", "MONKEY", "TURKEY", "KEYBOARD"}
	plainLast   = []string{"NAME", "TYPE", "FILE", "PATH", "DIR", "URL", "URI", "HOST", "ENDPOINT", "ALGORITHM", "ALG", "SOCK", "TTL", "TIMEOUT", "SIZE", "LENGTH", "COUNT", "LIMIT", "METHOD", "MODE", "REGION", "VERSION", "HELPER", "USER", "EMAIL"}
)

// knownValues are in many environments and in ordinary text as well: to take
// them out would hurt the log and hide nothing.
var knownValues = []string{"password", "passw0rd", "postgres", "changeme", "changeit", "minioadmin", "rootroot", "testtest", "development", "production", "localhost", "anonymous", "disabled", "required", "optional", "undefined"}

var (
	pathValue = regexp.MustCompile(`^(?:(?:~|\.{1,2})?/[a-z0-9._-]+(?:[/:]|$)|/(?:Users|Library|Applications|System|Volumes)/|[A-Za-z]:[\\/])`)
	urlValue  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)
)

// EnvSecrets lists the variables of an environment ("NAME=value") whose names
// say that they are secret, and whose values can be: not paths, addresses,
// numbers or words that everybody uses. A password within an address has a form
// that NewRedactor knows.
func EnvSecrets(environ []string) (secrets []Secret) {
	seen := map[string]bool{}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		value = strings.TrimSpace(value)
		if !ok || seen[value] || !secretName(name) || !secretValue(value) || len(secrets) >= secretsMax/2 {
			continue
		}
		seen[value] = true
		secrets = append(secrets, Secret{Name: markable(name), Value: value})
	}
	return secrets
}

func secretName(name string) bool {
	words := strings.FieldsFunc(strings.ToUpper(name), func(c rune) bool { return c == '_' || c == '-' || c == '.' })
	if len(words) == 0 || slices.Contains(plainLast, words[len(words)-1]) {
		return false
	}
	secret := false
	for _, w := range words {
		if slices.Contains(plainWords, w) {
			return false
		}
		secret = secret || slices.Contains(secretWords, w) || slices.ContainsFunc(secretEnds, func(end string) bool { return strings.HasSuffix(w, end) })
	}
	return secret
}

func secretValue(value string) bool {
	if len(value) < envSecretBytesMin || len(value) > secretBytesMax || !utf8.ValidString(value) {
		return false
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return false
	}
	return !pathValue.MatchString(value) && !urlValue.MatchString(value) && !slices.Contains(knownValues, strings.ToLower(value))
}

// markable makes a name that a mark can have.
func markable(name string) string {
	b := []byte(name[:min(len(name), markNameMax)])
	for i, c := range b {
		if !markBytes[c] {
			b[i] = '_'
		}
	}
	return string(b)
}
