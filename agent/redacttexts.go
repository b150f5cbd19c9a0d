package agent

import (
	"bytes"
	"slices"
)

// textForms are secrets that are known by what stands around them.
var textForms = []form{
	{name: "private-key", anchors: []string{"PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"}, find: findPrivateKey},
	{name: "url-password", anchors: []string{"://"}, quick: mayHavePassword, find: findURLPassword},
	{name: "slack-webhook", anchors: []string{"hooks.slack.com/"}, find: findSlackWebhook},
	{name: "azure-secret", anchors: []string{"7Q~", "8Q~"}, quick: mayBeAzureSecret, find: findAzureSecret},
	{name: "telegram-token", anchors: []string{":AA"}, quick: mayBeTelegram, find: findTelegram},
}

// pemBytesMax is more than a key in text form has.
const pemBytesMax = 64 << 10

// pemBodyMin is how much of a key must follow for its heading to be one.
const pemBodyMin = 16

// pemBytes are what is between the lines of a key, or stands before them: line
// breaks in one layer of escapes more, and the marks of quotes and line numbers.
var pemBytes = byteSet("a-zA-Z0-9+/=\t\n\r :,.\\>|\x80-\xff-")

// findPrivateKey takes a key from its heading to its end, or as far as it goes
// when the end was cut off.
func findPrivateKey(text []byte, from, to int) (start, end int) {
	const begin, finish = "-----BEGIN ", "-----END "
	start = bytes.LastIndex(text[max(0, from-64):from], []byte(begin))
	if start < 0 {
		return 0, 0
	}
	start += max(0, from-64)
	body := text[to:min(len(text), to+pemBytesMax)]
	if i := bytes.Index(body, []byte(begin)); i >= 0 {
		body = body[:i] // the next one
	}
	if i := bytes.Index(body, []byte(finish)); i >= 0 {
		body = body[:i]
		if n := bytes.Index(text[to+i+len(finish):min(len(text), to+i+len(finish)+64)], []byte("-----")); n >= 0 {
			end = to + i + len(finish) + n + len("-----")
		}
	}
	if end == 0 {
		n := 0
		for n < len(body) && pemBytes[body[n]] {
			n++
		}
		body = body[:n]
		end = to + len(bytes.TrimRight(body, " \r\n\t\\"))
	}
	if !hasRun(body, pemBodyMin) {
		return 0, 0
	}
	return start, end
}

// hasRun reports whether there are so many bytes of base64 in a row.
func hasRun(text []byte, least int) bool {
	n := 0
	for _, c := range text {
		if n++; !base64Bytes[c] {
			n = 0
		}
		if n >= least {
			return true
		}
	}
	return false
}

const urlUserMax = 256 // bytes of a user and a password, each

var (
	schemeBytes   = byteSet("a-zA-Z0-9+.-")
	userBytes     = byteSet("a-zA-Z0-9._~%!$&*+,;=-")
	passwordBytes = byteSet("!#-&*-.0-;=A-[]-_a-z|}~") // { may stand for something that is filled in
)

// mayHavePassword looks for the @ that ends a password, in a text that may have
// escapes.
func mayHavePassword(text []byte, from, to int) bool {
	for _, c := range text[to:min(len(text), to+2*urlUserMax)] {
		switch c {
		case '@', '\\':
			return true
		case ' ', '/', '"', '<', '>':
			return false
		}
	}
	return false
}

// findURLPassword finds the password in scheme://user:password@host.
func findURLPassword(text []byte, from, to int) (start, end int) {
	if from == 0 || !schemeBytes[text[from-1]] {
		return 0, 0
	}
	user := runOf(text[to:min(len(text), to+urlUserMax)], &userBytes)
	start = to + user + 1
	if start > len(text) || text[start-1] != ':' {
		return 0, 0
	}
	end = start + runOf(text[start:min(len(text), start+urlUserMax)], &passwordBytes)
	if end == start || end+1 >= len(text) || text[end] != '@' || !alnum[text[end+1]] && text[end+1] != '[' || standsFor(text[start:end]) {
		return 0, 0
	}
	return start, end
}

// standsFor tells what an example has in the place of a secret.
func standsFor(value []byte) bool {
	const signs = "$%{<*"
	if bytes.IndexByte([]byte(signs), value[0]) >= 0 && (value[0] != '%' || len(value) < 3 || !hexDigits[lowerByte(value[1])]) {
		return true
	}
	return bytes.Trim(value, "x.") == nil || slices.Contains([]string{"password", "pass", "secret", "pw", "pwd"}, string(bytes.ToLower(value)))
}

// findSlackWebhook takes the part of an address that nobody else may know.
func findSlackWebhook(text []byte, from, to int) (start, end int) {
	for _, kind := range []string{"services/", "workflows/", "triggers/"} {
		if rest := text[to:]; bytes.HasPrefix(rest, []byte(kind)) {
			path := trimPoints(rest[len(kind) : len(kind)+runOf(rest[len(kind):], &bearerBytes)])
			if bytes.Count(path, []byte("/")) >= 2 && looksRandom(path) {
				return to + len(kind), to + len(kind) + len(path)
			}
		}
	}
	return 0, 0
}

// A client secret of Azure has three characters, a digit, Q~, and the rest.
const azureRestMin, azureRestMax = 31, 34

var azureBytes = byteSet("a-zA-Z0-9_.~-")

func mayBeAzureSecret(text []byte, from, to int) bool {
	return mayRun(text[to:], &azureBytes, azureRestMin)
}

func findAzureSecret(text []byte, from, to int) (start, end int) {
	start = from - 3
	n := runOf(text[to:min(len(text), to+azureRestMax+1)], &azureBytes)
	if start < 0 || runOf(text[start:from], &azureBytes) < 3 || !beginsWord(text, start) || n < azureRestMin || n > azureRestMax {
		return 0, 0
	}
	return start, to + n
}

// A bot's token of Telegram is its number, a colon and the rest.
const telegramRest = 33

func mayBeTelegram(text []byte, from, to int) bool {
	return from > 0 && digits[text[from-1]] && mayRun(text[to:], &nameBytes, telegramRest)
}

func findTelegram(text []byte, from, to int) (start, end int) {
	start = from
	for start > 0 && digits[text[start-1]] && from-start < 11 {
		start--
	}
	if n := from - start; n < 8 || n > 10 || runOf(text[to:min(len(text), to+telegramRest+1)], &nameBytes) != telegramRest {
		return 0, 0
	}
	return start, to + telegramRest
}

// signedForm is what is signed or sealed: three or five parts of base64 with
// points between, of which the first begins like an object of JSON.
func signedForm(name, prefix string) form {
	const partMin = 10
	return form{
		name: name, anchors: []string{prefix},
		quick: func(text []byte, from, to int) bool {
			return beginsWord(text, from) && mayRun(text[to:], &nameBytes, partMin)
		},
		find: func(text []byte, from, to int) (start, end int) {
			if !beginsWord(text, from) {
				return 0, 0
			}
			parts := 0
			for at := to; ; at = end + 1 {
				n := runOf(text[at:], &nameBytes)
				if n == 0 || parts != 1 && parts != 3 && n < partMin { // the key of a sealed one may be missing
					break
				}
				parts, end = parts+1, at+n
				if parts == 5 || end == len(text) || text[end] != '.' {
					break
				}
			}
			if parts < 3 {
				return 0, 0
			}
			return from, end
		},
	}
}
