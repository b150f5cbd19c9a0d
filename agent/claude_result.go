package agent

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// result reads the end of a turn.
func (f *claudeFormat) result(l claudeFrame) Meaning {
	e := &End{Success: !l.is("is_error") && (l.subtype == "" || l.subtype == "success")}
	switch {
	case strings.HasPrefix(l.str("terminal_reason"), "aborted"):
		e.Success, e.Reason = false, "stopped"
	case e.Success && f.texts < 2: // it is the last text, and so the whole one
		e.Text = l.str("result")
	case e.Success:
	default:
		e.Error = resultError(l)
	}
	f.texts = 0
	e.Usage = resultUsage(l, f.costs.total == nil)
	e.CostUSD = f.costs.share(l)
	// A turn that answers a prompt is somebody's, whatever else began it.
	e.Own = l.obj("origin").str("kind") == "task-notification" && len(l.list("user_message_uuids")) == 0
	return Meaning{Known: true, Kind: l.kind(), End: e}
}

func resultError(l claudeFrame) string {
	var all []string
	for _, v := range l.list("errors") {
		if s := errorText(v); s != "" {
			all = append(all, s)
		}
	}
	if len(all) > 0 {
		return strings.Join(all, "\n")
	}
	if s := l.str("result"); s != "" {
		return s
	}
	return strings.ReplaceAll(l.subtype, "_", " ")
}

// sinceLast is what each model used since the last result. modelUsage is the
// sum of the whole conversation, as total_cost_usd is.
const sinceLast = "model_usage_since_last_result"

// resultUsage is the usage of the turn: that of the main model, and that of
// each model with its sub-agents, which of a conversation's first turn is the
// sum.
func resultUsage(l claudeFrame, first bool) json.RawMessage {
	var b body
	usage := l.obj("usage")
	for _, name := range sortedKeys(usage) {
		b.raw(name, usage[name])
	}
	switch {
	case l.has(sinceLast):
		b.raw("modelUsage", l.object[sinceLast])
	case first:
		b.raw("modelUsage", l.object["modelUsage"])
	default:
		b.raw("modelUsageTotal", l.object["modelUsage"])
	}
	if len(b.b) == 0 {
		return nil
	}
	return b.data()
}

// claudeCosts follows the running total of a conversation. Money is kept as
// exact decimals: the shares of the turns add up to the total.
type claudeCosts struct{ total *big.Rat }

// share is what the turn cost: what its models say that they cost, or else how
// much the total has grown. A total that has fallen began anew.
func (c *claudeCosts) share(l claudeFrame) json.Number {
	total, sum := decimal(l.number("total_cost_usd")), modelCosts(l.obj(sinceLast))
	if sum == nil && total != nil {
		sum = total
		if c.total != nil && total.Cmp(c.total) >= 0 {
			sum = new(big.Rat).Sub(total, c.total)
		}
	}
	if total != nil {
		c.total = total
	}
	return decimalText(sum)
}

// modelCosts adds up the costs by model; nil when one of them has none.
func modelCosts(models object) (sum *big.Rat) {
	for _, name := range sortedKeys(models) {
		cost := decimal(models.obj(name).number("costUSD"))
		if cost == nil {
			return nil
		}
		if sum == nil {
			sum = new(big.Rat)
		}
		sum.Add(sum, cost)
	}
	return sum
}

// Bounds of a number that means money: without them an exponent of a few bytes
// would become a number of any length.
const (
	decimalBytesMax    = 40
	decimalExponentMax = 20
)

// decimal reads a decimal number exactly; nil when it is none that means money.
func decimal(n json.Number) *big.Rat {
	if n == "" || len(n) > decimalBytesMax {
		return nil
	}
	if i := strings.IndexAny(string(n), "eE"); i >= 0 {
		exp, err := strconv.Atoi(string(n[i+1:]))
		if err != nil || exp > decimalExponentMax || exp < -decimalExponentMax {
			return nil
		}
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return nil
	}
	return r
}

// decimalText writes an exact decimal; nil is "".
func decimalText(r *big.Rat) json.Number {
	if r == nil {
		return ""
	}
	digits, _ := r.FloatPrec() // it came from decimals, so it is one
	return json.Number(r.FloatString(digits))
}
