package agent

import "bytes"

// namedSecret is what follows a name, such as in an assignment, a header or a
// member of an object.
type namedSecret struct {
	name     string
	names    []string // in lower case
	words    []string // of which one stands before the secret, such as bearer; nil for none
	bytes    *bytesOf
	min, max int // bytes of the secret; max 0 is no limit
	is       func(value []byte) bool
}

var namedSecrets = []namedSecret{
	{name: "bearer-token", names: []string{"authorization"}, words: []string{"bearer", "token"}, bytes: &bearerBytes, min: 8, is: mixedOrLong},
	{name: "bearer-token", names: []string{"bearer"}, bytes: &bearerBytes, min: 20, is: looksRandom},
	{name: "basic-auth", names: []string{"authorization"}, words: []string{"basic"}, bytes: &base64Bytes, min: 8, is: looksRandom},
	{name: "header-key", names: []string{"api-key", "private-token", "x-auth-token", "x-amz-security-token", "x-vault-token", "subscription-key"}, bytes: &bearerBytes, min: 16, is: mixed},
	{name: "oauth-secret", names: []string{"access_token", "accesstoken", "refresh_token", "refreshtoken", "client_secret", "clientsecret"}, bytes: &nameBytes, min: 20, is: mixed},
	{name: "aws-secret-key", names: []string{"secret_access_key", "secretaccesskey", "secret-access-key"}, bytes: &base64Bytes, min: 40, max: 40, is: looksRandom},
	{name: "aws-session-token", names: []string{"session_token", "sessiontoken"}, bytes: &base64Bytes, min: 100, is: looksRandom},
	{name: "azure-key", names: []string{"accountkey", "sharedaccesskey"}, bytes: &base64Bytes, min: 43, max: 88, is: looksRandom},
	{name: "npm-token", names: []string{"_authtoken"}, bytes: &bearerBytes, min: 8, is: mixedOrLong},
}

// betweenBytes stand between a name and its secret, and betweenMax is how many
// of them.
var betweenBytes = byteSet(" \t\"':=>,]\\")

const betweenMax = 16

func (n namedSecret) form(name string) form {
	return form{
		name: n.name, anchors: []string{name}, fold: true,
		quick: func(text []byte, from, to int) bool { return n.start(text, to) > 0 },
		find: func(text []byte, from, to int) (start, end int) {
			if start = n.start(text, to); start == 0 {
				return 0, 0
			}
			value := trimPoints(text[start : start+runOf(text[start:], n.bytes)])
			if len(value) < n.min || n.max > 0 && len(value) > n.max || !n.is(value) {
				return 0, 0
			}
			return start, start + len(value)
		},
	}
}

// start is where the secret starts after the name that ends there; 0 when
// something else follows.
func (n namedSecret) start(text []byte, end int) int {
	at := end + between(text[end:])
	if at == end {
		return 0
	}
	if n.words == nil {
		return at
	}
	for _, w := range n.words {
		if len(text)-at > len(w) && bytes.EqualFold(text[at:at+len(w)], []byte(w)) {
			if gap := between(text[at+len(w):]); gap > 0 {
				return at + len(w) + gap
			}
		}
	}
	return 0
}

func between(text []byte) int { return runOf(text[:min(len(text), betweenMax)], &betweenBytes) }

// mixed tells a secret from a name in a program: it has two digits at least.
func mixed(value []byte) bool { return digitsIn(value) >= 2 && looksRandom(value) }

// mixedOrLong is for where nothing but a secret or its stand-in is expected.
func mixedOrLong(value []byte) bool {
	return (digitsIn(value) > 0 || len(value) >= 24) && looksRandom(value)
}

func digitsIn(value []byte) (n int) {
	for _, c := range value {
		if digits[c] {
			n++
		}
	}
	return n
}
