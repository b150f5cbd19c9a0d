export type * from './types.js';
export { Fold, type GapReason } from './fold.js';
export { questionOptions, type QuestionOption } from './options.js';
export { openSession } from './session.js';
export { turnTiming, type Phase, type Segment, type ToolTime, type TurnTiming } from './timing.js';
export { conversationMarkdown, sectionMarkdown, type MarkdownOptions } from './markdownexport.js';
