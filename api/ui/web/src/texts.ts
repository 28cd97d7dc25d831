// Every text of the dashboard. What comes from the server (reasons, events, help)
// is shown as the server says it.
const n = (x: number) => x.toLocaleString('en-US')
const many = (x: number, one: string, more = one + 's') => `${n(x)} ${x === 1 ? one : more}`

export const texts = {
  brand: 'Hodei',
  skip: 'Skip to the content',
  pages: { overview: 'Overview', jobs: 'Jobs', queue: 'Queue', workers: 'Workers', events: 'Events' },
  nav: 'Pages',
  title: (page: string) => `${page} · Hodei`,
  states: {
    pending: 'pending', bound: 'bound', running: 'running', succeeded: 'succeeded', failed: 'failed',
    cancelled: 'cancelled', timed_out: 'timed out', lost: 'lost', skipped: 'skipped',
  },
  glyphs: { pending: '○', bound: '◐', running: '▶', succeeded: '✓', failed: '✗', cancelled: '⊘', timed_out: '◷', lost: '?', skipped: '-' },
  workerStates: {
    requested: 'requested', launched: 'launched', online: 'online', disconnected: 'disconnected', lost: 'lost',
    terminated: 'ended', draining: 'draining', cordoned: 'cordoned',
  } as Record<string, string>,
  none: '–',
  more: 'more',
  tryAgain: 'Try again',
  request: (id: string) => `request ${id}`,
  noAnswer: 'The server does not answer.',
  noRight: 'Your role does not let you see this.',
  notFound: { title: 'Nothing here', text: (path: string) => `There is no page ${path}.`, back: 'To the overview' },
  loading: 'Loading…',

  connection: {
    live: 'live',
    connecting: 'connecting',
    lost: 'not connected',
    since: (at: string, position: number) => `Not connected since ${at}.` + (position > 0 ? ` Shown: #${position}.` : ''),
    retry: (s: number) => (s > 0 ? `Trying again in ${s} s` : 'Trying now…'),
    now: 'now',
    caught: (x: number) => `Connected again; ${many(x, 'change')} caught up.`,
    unreachable: 'The server does not answer. Trying again…',
  },

  user: {
    menu: 'Your account', role: (role: string, namespace: string) => `${role}, ${namespace === '*' ? 'all namespaces' : `namespace ${namespace}`}`,
    signOut: 'Sign out', theme: 'Colours', themes: { auto: 'as the system', light: 'light', dark: 'dark' }, keys: 'Single-letter keys',
    docs: 'API documentation', version: (v: string) => `Hodei ${v}`,
  },
  signin: {
    title: 'Sign in', token: 'API token', go: 'Sign in', busy: 'Signing in…',
    hint: 'Sign in with an API token, such as hodei_…. On the machine of hodei dev, open the link that it prints instead: it signs you in, once.',
    where: 'The token is in the file beside the data folder, such as ~/.local/share/hodei/dev.token.',
    empty: 'Type or paste a token first.',
  },

  overview: {
    title: 'Overview', running: 'running', waiting: 'waiting', failed: 'failed', lost: 'lost', tenMinutes: '10 min', cpu: 'CPU reserved', ended: 'ended',
    why: (x: number) => `Why ${n(x)} wait`, whyNone: 'Nothing waits', nothingWaits: 'No job waits for a worker.',
    broke: 'What broke', nothingBroke: 'Nothing broke lately.', allBroken: 'All that failed',
    runs: 'What runs', nothingRuns: 'No job runs at present.', allRunning: 'All that run',
    workers: 'Workers', times: (x: number) => `×${x}`, more: (x: number) => `and ${n(x)} more`,
  },
  noJobYet: { text: 'No job has run yet.', command: 'hodei run -- echo hello' },
  noWorker: { text: 'No worker is online. Make a token for one, and start its agent with it:', command: 'hodei worker token' },

  jobs: {
    title: 'Jobs', state: 'State', name: 'Name', namespace: 'Namespace', worker: 'Worker', waited: 'Waited', took: 'Took', why: 'Why', id: 'Job', attempt: 'Try', age: 'Age',
    filter: 'Filter by name or id', states: 'States', clear: 'Clear filters', allNamespaces: 'all namespaces',
    shown: (x: number, whole: boolean) => (whole ? many(x, 'job') : `the newest ${n(x)} jobs`),
    found: (x: number, of: number, whole: boolean) => `${n(x)} of ${whole ? '' : 'the newest '}${many(of, 'job')}`,
    fresh: (x: number) => `↑ ${n(x)} new`, label: 'List of jobs', none: 'No job matches.', loadingMore: 'Reading older jobs…',
  },
  job: {
    unnamed: 'job', attempt: (a: number, of: number) => `attempt ${a} of ${of}`, newest: 'newest attempt',
    cancel: 'Cancel', cancelling: 'Cancelling…', cancelAsk: (name: string) => `Cancel ${name}?`, cancelYes: 'Yes, cancel', cancelNo: 'No',
    cancelled: 'It is being cancelled.', copy: 'Copy link', copied: 'Copied', command: 'Copy command',
    tabs: { log: 'Log', usage: 'Usage', events: 'Events', spec: 'Spec' }, tabList: 'Parts of the job', steps: 'Steps',
    facts: { job: 'job', namespace: 'namespace', worker: 'worker', submitted: 'submitted', started: 'started', finished: 'finished', waited: 'waited', took: 'took', peak: 'peak', exit: 'exit code', signal: 'signal', attempt: 'attempt', priority: 'priority', running: 'runs for' },
    waitsForInput: 'A process of the job waits for keyboard input, which never comes.', escaped: 'Some processes it left could not be killed.',
    noSuch: (id: string) => `There is no job ${id}, or you have no right to see it.`, noEvents: 'Nothing has happened yet.', spec: 'What was asked for',
    position: (p: number) => `#${p}`,
  },
  log: {
    label: 'Output of the job', empty: 'It has printed nothing yet.', nothing: 'It printed nothing.', waits: 'It has not started: there is no output yet.', follow: 'Follow',
    down: (x: number) => (x > 0 ? `↓ ${many(x, 'new line')}` : '↓ to the end'), search: 'Search the whole log', count: (i: number, of: number, whole: boolean) => `${i} of ${whole ? '' : 'at least '}${n(of)}`,
    noMatch: 'no match', next: 'Next match', previous: 'Previous match', times: 'Times', wrap: 'Wrap', raw: 'Download', earlier: (x: number) => `↑ ${many(x, 'earlier line')}`,
    toEnd: 'This is a part of the log. Go to its end', cut: (size: string) => `… ${size} more`, dropped: (size: string) => `[${size} not shown: download the log]`,
    gone: 'The output is not kept any more.', lines: (x: number) => many(x, 'line'), step: (i: number, name: string) => (name ? `${i} ${name}` : `Step ${i}`), exit: (code: number) => `exit ${code}`, signal: (s: string) => `signal ${s}`,
    line: (x: number) => `Line ${x}`, fold: 'Fold or open the step', attemptLabel: 'Attempt', broken: 'The connection broke; what follows is on its way.',
  },
  usage: {
    memory: 'Memory', cpu: 'CPU', peak: (text: string) => `peak ${text}`, limit: (text: string) => `limit ${text}`, asked: (text: string) => `asked ${text}`, none: 'Nothing was measured.', table: 'As a table', time: 'Time',
    chart: (what: string, peak: string) => `${what} over time, peak ${peak}`, of: (peak: string, limit: string) => `${peak} of ${limit}`,
  },
  workers: {
    title: 'Workers', summary: (x: number, used: string, of: string) => `${many(x, 'worker')}, ${used}/${of} CPU reserved`, reserved: 'reserved', used: 'used', capacity: 'of', cpu: 'CPU', memory: 'memory', jobs: (x: number) => many(x, 'job'),
    ended: 'Ended', showEnded: (x: number) => `Show ${many(x, 'that ended', 'that ended')}`, bar: (what: string, used: string, reserved: string, of: string) => `${what}: ${reserved} reserved and ${used} used of ${of}`,
    noSuch: (id: string) => `There is no worker ${id}.`, runs: 'Jobs on it', noJobs: 'No job is bound to it.', facts: { state: 'state', since: 'since', os: 'system', version: 'agent', labels: 'labels', heard: 'last heard', provider: 'provider', pool: 'pool', id: 'id' },
    events: 'What happened', empty: 'empty', ago: (text: string) => `${text} ago`,
  },
  queue: {
    title: 'Queue', class: 'Class', wait: 'Wait', oldest: 'Oldest', needs: 'Needs', why: 'Why it waits', namespace: 'Namespace', empty: 'Nothing waits.', next: 'Next in line', help: 'What would help', open: 'Show its jobs', summary: (x: number, backoff: number) => `${many(x, 'job')} waiting` + (backoff > 0 ? `, ${n(backoff)} of them for a retry` : ''), more: (x: number) => `and ${n(x)} more`,
  },
  events: {
    title: 'Events', position: 'Position', time: 'Time', stream: 'Stream', what: 'What happened', actor: 'By', type: 'Type', label: 'The event log, newest first', filterType: 'Types, such as JobFailed,JobLost', filterStream: 'Streams that begin with, such as job- or worker-', none: 'No event matches.', apply: 'Filter', fresh: (x: number) => `↑ ${n(x)} new`,
  },
  keys: {
    title: 'Keys', close: 'Close', open: 'Keys of this page',
    list: [
      ['g o', 'Overview'], ['g j', 'Jobs'], ['g q', 'Queue'], ['g w', 'Workers'], ['g e', 'Events'],
      ['j k', 'Next and previous row'], ['enter', 'Open the row'], ['/', 'Filter or search'], ['n N', 'Next and previous match in a log'], ['f', 'Follow a log'],
      ['y', 'Copy the link'], ['c', 'Copy the command'], ['?', 'This list'], ['esc', 'Close, leave the field'],
    ] as [string, string][],
  },
  reasons: {
    no_worker: 'no worker', no_match: 'no match', too_large: 'too large', busy: 'busy', launching: 'launching', paused: 'paused', backoff: 'retry delay', dispatched: 'dispatched',
  } as Record<string, string>,
}
