package trace

import (
	"encoding/json"
	"slices"
	"strings"
)

// tokens are what a turn used, in the sense of the conventions: input has all
// that went in, also what came from a cache, and output has the reasoning.
type tokens struct {
	input, output, cacheRead, cacheWrite, reasoning int64
	known                                           bool
	models                                          []string // that were used, by name
}

// counted is how agents name what they count. extra says that it is not part
// of the sum that the agent gives beside it.
type counted struct {
	name  string
	extra bool
}

var (
	inputNames      = []counted{{"input_tokens", false}, {"inputTokens", false}, {"input", false}}
	outputNames     = []counted{{"output_tokens", false}, {"outputTokens", false}, {"output", false}}
	cacheReadNames  = []counted{{"cache_read_input_tokens", true}, {"cachedReadTokens", true}, {"cacheRead", true}, {"cached_input_tokens", false}, {"cached", false}}
	cacheWriteNames = []counted{{"cache_creation_input_tokens", true}, {"cachedWriteTokens", true}, {"cacheWrite", true}, {"cache_write_input_tokens", false}}
	reasoningNames  = []counted{{"reasoning", true}, {"thoughtTokens", true}, {"reasoning_output_tokens", false}}
)

// readUsage reads the usage of a turn as the agents write it.
func readUsage(usage json.RawMessage) (t tokens) {
	var members map[string]json.RawMessage
	if json.Unmarshal(usage, &members) != nil {
		return t
	}
	number := func(names []counted) (n int64, extra bool) {
		for _, c := range names {
			var f float64
			if v, ok := members[c.name]; ok && json.Unmarshal(v, &f) == nil && f >= 0 && f < 1<<53 {
				t.known = true
				return int64(f), c.extra
			}
		}
		return 0, false
	}
	t.input, _ = number(inputNames)
	t.output, _ = number(outputNames)
	var extra bool
	if t.cacheRead, extra = number(cacheReadNames); extra {
		t.input += t.cacheRead
	}
	if t.cacheWrite, extra = number(cacheWriteNames); extra {
		t.input += t.cacheWrite
	}
	if t.reasoning, extra = number(reasoningNames); extra {
		t.output += t.reasoning
	}
	for _, name := range []string{"modelUsage", "models"} {
		var models map[string]json.RawMessage
		if json.Unmarshal(members[name], &models) == nil {
			for model := range models {
				t.models = append(t.models, model)
			}
		}
	}
	slices.Sort(t.models)
	return t
}

// providers are known by how their models and agents are named.
var providers = []struct{ prefix, provider string }{
	{"claude", "anthropic"}, {"gpt", "openai"}, {"o1", "openai"}, {"o3", "openai"}, {"o4", "openai"}, {"codex", "openai"}, {"gemini", "gcp.gemini"},
	{"deepseek", "deepseek"}, {"mistral", "mistral_ai"}, {"grok", "x_ai"}, {"command-", "cohere"},
}

// providerOf names the provider of a model, or else of an agent that has only
// one; "" when that is not known.
func providerOf(model, agent string) string {
	if i := strings.LastIndexByte(model, '/'); i >= 0 { // as in anthropic/claude-opus-4
		model = model[i+1:]
	}
	for _, name := range []string{model, agent} {
		for _, p := range providers {
			if name != "" && strings.HasPrefix(strings.ToLower(name), p.prefix) {
				return p.provider
			}
		}
		if name != "" && name == model {
			return "" // a model that is not known says more than its agent's name
		}
	}
	return ""
}
