// Package storetest is the contract of package store as tests: Run is the suite
// that every engine must pass, Model compares an engine with store/memory over
// random operations. Neither knows any engine; an engine's own test hands it in.
//
// The clock stands still unless a test moves it, so every time is exact and
// nothing waits for time to pass.
package storetest

import (
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// Options are what the suite asks of an engine that it opens.
type Options struct {
	Dir           string           // where a durable engine keeps its data; opened again when the suite reopens it
	Committed     store.Committed  // never nil
	Now           func() time.Time // never nil
	EventBytesMax int              // 0 means store.EventBytesDefault
	Quotas        store.Quotas
}

// Engine is an engine under test.
type Engine struct {
	// Open opens the log in o.Dir, an empty directory when it is new, and
	// fails the test when it cannot. The suite closes what it opens.
	Open func(t *testing.T, o Options) store.Log
	// Reopen says that what was acknowledged is there again when the
	// directory is opened after Close.
	Reopen bool
}

// Run runs the contract suite. Each subtest is named after the promise (P, of
// PROTOCOL.md) or invariant (I, of ARCHITECTURE.md) that it guards.
func Run(t *testing.T, e Engine) {
	for _, tests := range [][]contractTest{logTests, meaningTests, abilityTests, blobTests, quotaTests} {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { test.run(start(t, e)) })
		}
	}
}

// contractTest is one promise.
type contractTest struct {
	name string
	run  func(*rig)
}

// logTests are about the log itself: what was appended is what is read.
var logTests = []contractTest{
	{"P1_AcknowledgedSurvivesReopen", testReopen},
	{"P8_BytesAsAppended", testBytes},
	{"P8_CallerMayReuseItsBuffers", testBuffers},
	{"P13_SameKeySameBodyIsDuplicate", testKeyDuplicate},
	{"P13_SameKeyOtherBodyIsConflict", testKeyConflict},
	{"P13_KeysWithinOneRequest", testKeysMixed},
	{"P13_KeysLiveAsLongAsTheSession", testKeyLife},
	{"P13_RetriedMixedRequest", testRetriedMixed},
	{"P14_Producer", testProducer},
	{"P14_ProducerEpochs", testProducerEpochs},
	{"P14_ProducerAndKeys", testProducerKeys},
	{"P15_ExpectHead", testExpectHead},
	{"P16_RefusalStoresNothing", testRefusals},
	{"P16_OrderOfRefusals", testRefusalOrder},
	{"P16_ArrayIsAtomic", testAtomic},
	{"P16_ClosedSession", testClosed},
	{"I2_IdsAreDense", testDense},
	{"I2_IdsGoOnAfterDeleteAndRecreate", testRecreate},
	{"I4_I5_AnnouncedIsReadable", testAnnounced},
	{"Announcements", testAnnouncements},
	{"TimeNeverGoesBack", testTime},
	{"RetentionRaisesTheFloor", testRetention},
	{"RetentionEmpties", testRetentionAll},
	{"ReadForward", testReadForward},
	{"ReadBackward", testReadBackward},
	{"ReadBytesBound", testReadBytes},
	{"P12_FoldedRead", testFoldedRead},
	{"P12_FoldedReadIsBounded", testFoldedBound},
	{"I7_RawLinesCountAgainstThePage", testRawBound},
	{"I2_IdsNeverRunOver", testIDMax},
	{"TimeIsNotImported", testRestoredFuture},
	{"Sessions", testSessions},
	{"SessionsList", testList},
	{"SessionsListPages", testListPages},
	{"Restore", testRestore},
	{"RestoreGap", testRestoreGap},
	{"RestoreHead", testRestoreHead},
	{"RestoredLease", testRestoredLease},
	{"Concurrent", testConcurrent},
	{"ReadersSeeWholeArrays", testWholeArrays},
	{"CancelledAppendIsAllOrNothing", testCancelled},
	{"Search", testSearch},
	{"SearchScripts", testSearchScripts},
	{"SearchForgets", testSearchForgets},
	{"SearchGoesOnAfterReopen", testSearchReopens},
	{"ClosedEngine", testShutdown},
}

// meaningTests are about what the log means: turns, questions, kontasks.
var meaningTests = []contractTest{
	{"P7_TurnOpensOnceAndEndsOnce", testTurn},
	{"P7_SilentTurnIsAbandoned", testLease},
	{"P7_LateProducerIsFenced", testFenced},
	{"TurnNamesAndRetries", testTurnNames},
	{"RestoredTurnsAreTakenAsTheyAre", testRestoredTurns},
	{"PromptsWaitForTheirTurn", testPrompts},
	{"FirstAnswerWins", testAnswers},
	{"Tasks", testTasks},
	{"KontaskAfterTheTurn", testKontask},
	{"KontaskIsChosenFromOnce", testChoose},
	{"KontasksList", testKontaskList},
	{"TurnsList", testTurnList},
	{"Feed", testFeed},
	{"Inbox", testInbox},
	{"OpenOutlivesRestart", testOpenReopens},
}

// abilityTests are about what an engine can do beside: a test is skipped where
// an engine cannot.
var abilityTests = []contractTest{
	{"Webhooks", testWebhooks},
	{"WebhookOutcomes", testWebhookOutcomes},
	{"WebhookRefusals", testWebhookRefusals},
	{"RedactionDropsContent", testRedact},
	{"RedactionRefusals", testRedactRefusals},
	{"RedactionReachesEverything", testRedactEverywhere},
	{"RedactionOfAClosedSession", testRedactClosed},
	{"RedactionAndTheFloor", testRedactBelowFloor},
	{"RedactionWhileAppending", testRedactWhileAppending},
	{"Fork", testFork},
	{"ForkRefusals", testForkRefusals},
	{"ForkAtTheEnds", testForkBounds},
	{"ForkAbandonsTheTurn", testForkTurn},
	{"ForkWhileAppending", testForkWhileAppending},
	{"VisibleLists", testVisible},
	{"VisibleNamedSession", testVisibleNamed},
	{"VisibleWords", testVisibleWords},
}
