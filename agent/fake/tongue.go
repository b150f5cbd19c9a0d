package fake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// tongue is the language of an agent that talks with its host, and what has to
// be known of a conversation to speak it. Lines are without their breaks.
type tongue interface {
	// hear understands a line to the agent.
	hear(line []byte) heard
	// learn looks through the recording before it is played.
	learn(steps []step)
	// again chooses the ids of what is said beside the recording, for a prompt
	// of this pass.
	again(pass int, salt, session string)
	// names are the ids that may be there only once in a session, and its own.
	names(steps []step) (ids []string, session string)
	// begin starts the turn that a prompt asked for.
	begin(recorded, live heard)
	// meet says that the host made a request that the recorded one made too.
	meet(recorded, live heard)
	// say gives a recorded line in its live form, or nil to leave it out.
	say(line []byte) []byte
	// reply answers a request that the recording does not have here.
	reply(h heard) []byte
	// open reports whether a question of the agent, by its recorded id, is not
	// answered yet, and its live id; answered notes an answer to any question.
	open(id string) (live string, ok bool)
	answered(h heard)
	// busy reports whether a turn is open, and tasks whether work goes on after it.
	busy() bool
	tasks() bool
	// ends reports whether a recorded line ends the turn, and after whether it
	// is about an end that was before it.
	ends(line []byte) bool
	after(line []byte) bool
	// stop ends the turn before its time, for an interrupt or, without one, as
	// if nothing more was to be said. end is the line that would have ended it.
	stop(h *heard, waiting []heard, end []byte) [][]byte
	// idle answers an interrupt when there is nothing to stop.
	idle(h heard) [][]byte
	// over refuses a prompt because the recording has no more.
	over(h heard) [][]byte
}

// stopText is what an agent is told to have heard when it is interrupted.
const (
	stopText     = "[Request interrupted by user]"
	stopToolText = "[Request interrupted by user for tool use]"
	denyText     = "The user doesn't want to proceed with this tool use. The tool use was rejected."
	overText     = "the recording is over: --repeat plays it again"
)

// textMax bounds how much of a text is kept to be said again when it is
// interrupted.
const textMax = 1 << 20

// serial makes ids that are the same whenever the same is played.
type serial struct {
	salt string
	n    int
}

func (s *serial) uuid() string {
	s.n++
	return named(s.salt, fmt.Sprint("synthetic ", s.n))
}

// named is a UUID for a name.
func named(salt, name string) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + name))
	id, err := uuid.FromBytes(sum[:16])
	if err != nil {
		panic("fake: sixteen bytes are no UUID: " + err.Error())
	}
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8: made in a way of one's own
	return id.String()
}

// renamed gives an id that is used up another one of its form.
func renamed(salt, id string) string {
	if _, err := uuid.Parse(id); err == nil && len(id) == len(uuid.Nil.String()) {
		return named(salt, id)
	}
	sum := sha256.Sum256([]byte(salt + "\x00" + id))
	return id + "_" + hex.EncodeToString(sum[:6])
}

// replacer replaces whole JSON strings.
func replacer(names map[string]string) *strings.Replacer {
	var pairs []string
	for _, old := range slices.Sorted(maps.Keys(names)) {
		if names[old] != old {
			pairs = append(pairs, quote(old), quote(names[old]))
		}
	}
	return strings.NewReplacer(pairs...)
}
