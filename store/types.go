package store

// The types of events that the server knows (PROTOCOL.md section 2). All
// others pass through untouched.
const (
	TypePrompt             = "prompt"
	TypeTurnStart          = "turn_start"
	TypeTurnEnd            = "turn_end"
	TypeStopTurn           = "stop_turn"
	TypeSessionInit        = "session_init"
	TypeTextDelta          = "text_delta"
	TypeText               = "text"
	TypeThinkingDelta      = "thinking_delta"
	TypeThinking           = "thinking"
	TypeToolStart          = "tool_start"
	TypeToolDelta          = "tool_delta"
	TypeToolResult         = "tool_result"
	TypeTaskStart          = "task_start"
	TypeTaskUpdate         = "task_update"
	TypeTaskEnd            = "task_end"
	TypePermissionRequest  = "permission_request"
	TypePermissionResponse = "permission_response"
	TypeKontaskCreated     = "kontask_created"
	TypeKontaskReady       = "kontask_ready"
	TypeKontaskUpdated     = "kontask_updated"
	TypeKontaskChosen      = "kontask_chosen"
	TypeUsage              = "usage"
	TypePlan               = "plan"
	TypeError              = "error"
	TypeProcessExit        = "process_exit"
	TypeAgent              = "agent"
	TypeRedacted           = "redacted"
)

// TypeSessionClosed closes its session: it is the last event that a session
// accepts.
const TypeSessionClosed = "session_closed"

// The types of events that only the feed has.
const (
	TypeSessionCreated = "session_created"
	TypeSessionUpdated = "session_updated"
	TypeSessionDeleted = "session_deleted"
	TypeSeen           = "seen"
)

// FeedSession is the id of the session into which the server writes what all
// other sessions' lists and badges need (PROTOCOL.md 7.6).
const FeedSession = "_feed"
