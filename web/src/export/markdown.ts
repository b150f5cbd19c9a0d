import { conversationMarkdown, sectionMarkdown, type Conversation } from '@konlog/client/view';

/** The conversation, or one turn of it, as Markdown. */
export function markdownOf(conversation: Conversation, session: string, turn?: string): string {
  const section = turn === undefined ? undefined : conversation.sections.find((s) => s.turn === turn);
  return section ? sectionMarkdown(section) + '\n' : conversationMarkdown(conversation, session);
}
