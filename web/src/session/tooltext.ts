// Input and output of tools in words, out of the shapes that agents give them.
import { record, text1 } from './edits';

/** An image that stands in an output as base64. */
export interface InlineImage {
  /** data: address; what may be shown is decided where it is. */
  url: string;
  contentType: string;
}

export interface ReadOutput {
  text: string;
  images: InlineImage[];
  /** What is neither: shown as JSON. undefined when all of it could be read. */
  rest: unknown;
  /** Exit code of a command, when it says one. */
  exit: number | undefined;
}

/** Blocks of one output that are read one by one. */
const blocksMax = 1_000;

const shortNames = ['command', 'cmd', 'file_path', 'filePath', 'path', 'notebook_path', 'absolute_path', 'pattern', 'query', 'url', 'description', 'prompt', 'dir_path', 'title', 'name', 'skill'];

/** What a tool was asked for, in one line. */
export function inputShort(input: unknown, inputText = ''): string {
  if (typeof input === 'string') return input;
  const fields = record(input);
  if (!fields) return input === undefined || input === null ? inputText : JSON.stringify(input);
  const command = commandOf(fields);
  if (command !== undefined) return command;
  const found = text1(fields, shortNames);
  if (found !== undefined) return found;
  const changes = fields.changes;
  if (Array.isArray(changes)) return changes.map((c) => String(record(c)?.path ?? '')).filter(Boolean).join(', ');
  return Object.values(fields).find((v): v is string => typeof v === 'string' && v !== '') ?? (Object.keys(fields).length > 0 ? JSON.stringify(fields) : '');
}

/** The command line that a tool runs, undefined when it runs none. */
export function commandOf(input: unknown): string | undefined {
  const fields = record(input);
  if (!fields) return undefined;
  const command = fields.command ?? fields.cmd ?? fields.script;
  if (typeof command === 'string') return unwrapped(command);
  if (Array.isArray(command) && command.every((part) => typeof part === 'string')) return unwrapped(command.length === 3 && /^-l?c$/.test(command[1]!) ? command[2]! : command.join(' '));
  return undefined;
}

/** Agents wrap commands into a shell: /bin/bash -lc '…'. */
function unwrapped(command: string): string {
  const found = /^(?:\/\S*\/)?(?:ba|z)?sh -l?c (?:'([^']*)'|"([^"\\$`]*)")$/.exec(command);
  return found?.[1] ?? found?.[2] ?? command;
}

/** An output as text, images and what is neither. */
export function readOutput(output: unknown): ReadOutput {
  const made: ReadOutput = { text: '', images: [], rest: undefined, exit: undefined };
  if (output === undefined || output === null) return made;
  const texts: string[] = [];
  if (!read(output, texts, made, 0)) made.rest = output;
  made.text = texts.filter((t) => t !== '').join('\n');
  return made;
}

/** Reads a value into the parts; false when something of it would not be shown. */
function read(value: unknown, texts: string[], made: ReadOutput, depth: number): boolean {
  if (typeof value === 'string') return texts.push(value) > 0;
  if (typeof value === 'number' || typeof value === 'boolean') return texts.push(String(value)) > 0;
  if (value === null || value === undefined) return true;
  if (depth > 4) return false;
  if (Array.isArray(value)) {
    if (value.length > blocksMax || !value.every((v) => typeof v === 'object' || typeof v === 'string')) return false;
    return value.every((v) => read(v, texts, made, depth + 1));
  }
  const fields = record(value)!;
  const image = imageOf(fields);
  if (image) return made.images.push(image) > 0;
  if (fields.type === 'diff') return true;
  if (fields.type === 'text' || fields.type === 'content' || fields.type === 'output_text') return read(fields.text ?? fields.content, texts, made, depth + 1);
  return ofCommand(fields, texts, made, depth) || onlyContent(fields, texts, made, depth);
}

const commandNames = new Set(['stdout', 'stderr', 'interrupted', 'isImage', 'aggregated_output', 'formatted_output', 'output', 'exit_code', 'exitCode', 'status', 'noOutputExpected', 'duration', 'success', 'returnCodeInterpretation']);

/** What a command printed. */
function ofCommand(fields: Record<string, unknown>, texts: string[], made: ReadOutput, depth: number): boolean {
  const printed = ['stdout', 'stderr', 'aggregated_output', 'output'].filter((name) => typeof fields[name] === 'string');
  if (printed.length === 0 || !Object.keys(fields).every((name) => commandNames.has(name))) return false;
  for (const name of printed) read(fields[name], texts, made, depth + 1);
  const exit = fields.exit_code ?? fields.exitCode;
  if (typeof exit === 'number') made.exit = exit;
  return true;
}

/** Objects that wrap a content, with nothing else to read in them. */
function onlyContent(fields: Record<string, unknown>, texts: string[], made: ReadOutput, depth: number): boolean {
  const names = Object.keys(fields).filter((name) => !['isError', 'is_error', '_meta', 'structured_content', 'structuredContent'].includes(name) || fields[name]);
  return names.length === 1 && ['content', 'text', 'result', 'output'].includes(names[0]!) && read(fields[names[0]!], texts, made, depth + 1);
}

/** An image as Anthropic, MCP or OpenAI have it. */
function imageOf(fields: Record<string, unknown>): InlineImage | undefined {
  if (fields.type !== 'image' && fields.type !== 'input_image') return undefined;
  const source = record(fields.source) ?? fields;
  const contentType = text1(source, ['media_type', 'mimeType', 'contentType']) ?? 'image/png';
  const data = text1(source, ['data']);
  if (data !== undefined) return { url: `data:${contentType};base64,${data}`, contentType };
  const url = text1(source, ['url', 'image_url', 'uri']);
  return url === undefined ? undefined : { url, contentType };
}
