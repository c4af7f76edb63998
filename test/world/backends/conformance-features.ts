// The tools, resources and prompts that the MCP project's conformance suite looks for, by the names it asks for.
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  createRequestStateCodec,
  fromJsonSchema,
  type InputRequests,
  type InputRequiredResult,
  inputRequired,
  McpServer,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server';
import * as z from 'zod';

type Text = { content: { type: 'text'; text: string }[] };
type Changed = 'tools' | 'prompts';

const say = (text: string): Text => ({ content: [{ type: 'text', text }] });
const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const wav = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
const nothing = z.object({});

const ask = (message: string, field: string, type: 'string' | 'boolean' = 'string') =>
  inputRequired.elicit({
    message,
    requestedSchema: {
      type: 'object',
      properties: { [field]: type === 'string' ? { type } : { type } },
      required: [field],
    },
  });
const complete = (text: string) =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text } }],
    maxTokens: 100,
  });

export function createConformanceFeatures() {
  const states = createRequestStateCodec<{ round: number; name?: string }>({
    key: crypto.getRandomValues(new Uint8Array(32)),
  });

  return function createServer(onChange: (what: Changed) => void): McpServer {
    const server = new McpServer(
      { name: 'conformance', version: '1.0.0' },
      {
        capabilities: {
          tools: { listChanged: true },
          resources: { subscribe: true, listChanged: true },
          prompts: { listChanged: true },
          logging: {},
          completions: {},
        },
        requestState: { verify: states.verify },
      },
    );
    addContentTools(server);
    addOlderProtocolTools(server);
    addInputTools(server);
    server.registerTool(
      'test_trigger_tool_change',
      { description: 'Tells a change', inputSchema: nothing },
      () => {
        onChange('tools');
        return say('told');
      },
    );
    server.registerTool(
      'test_trigger_prompt_change',
      { description: 'Tells a change', inputSchema: nothing },
      () => {
        onChange('prompts');
        return say('told');
      },
    );
    addResources(server);
    addPrompts(server);
    server.server.setRequestHandler('logging/setLevel', () => ({}));
    server.server.setRequestHandler('completion/complete', () => ({
      completion: { values: ['paris', 'park'], total: 2, hasMore: false },
    }));
    return server;
  };

  function addInputTools(server: McpServer): void {
    const tool = (
      name: string,
      run: (context: ServerContext) => Promise<Text | InputRequiredResult> | Text | InputRequiredResult,
    ) =>
      server.registerTool(name, { description: name, inputSchema: nothing }, (_args, context) =>
        run(context),
      );
    const answers = ({ mcpReq }: ServerContext) => mcpReq.inputResponses;

    tool('test_missing_capability', (context) =>
      answers(context)?.answer === undefined
        ? inputRequired({ inputRequests: { answer: complete('Say pong') } })
        : say('pong'),
    );
    tool('test_streaming_elicitation', () => say('nothing is asked on this stream'));
    tool('test_logging_tool', async (context) => {
      await context.mcpReq.log('info', 'only where the request sets a level');
      return say('logged');
    });
    tool('test_input_required_result_elicitation', (context) => {
      const name = acceptedContent<{ name: string }>(answers(context), 'user_name')?.name;
      return typeof name === 'string'
        ? say(`Hello, ${name}!`)
        : inputRequired({ inputRequests: { user_name: ask('What is your name?', 'name') } });
    });
    tool('test_input_required_result_sampling', (context) => {
      const answer = answers(context)?.capital_question as { content?: { text?: string } } | undefined;
      return answer === undefined
        ? inputRequired({ inputRequests: { capital_question: complete('What is the capital of France?') } })
        : say(`Sampling response: ${answer.content?.text}`);
    });
    tool('test_input_required_result_list_roots', (context) => {
      const roots = rootsOf(answers(context)?.client_roots);
      return roots === null
        ? inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
        : say(`Roots: ${roots.map(({ uri }) => uri).join()}`);
    });
    tool('test_input_required_result_request_state', async (context) => {
      if (acceptedContent(answers(context), 'confirm') !== undefined && context.mcpReq.requestState())
        return say('state-ok');
      return inputRequired({
        inputRequests: { confirm: ask('Please confirm', 'ok', 'boolean') },
        requestState: await states.mint({ round: 1 }),
      });
    });
    tool('test_input_required_result_tampered_state', async (context) => {
      if (acceptedContent(answers(context), 'confirm') !== undefined && context.mcpReq.requestState())
        return say('integrity-ok');
      return inputRequired({
        inputRequests: { confirm: ask('Please confirm', 'ok', 'boolean') },
        requestState: await states.mint({ round: 1 }),
      });
    });
    tool('test_input_required_result_multiple_inputs', async (context) => {
      const given = answers(context);
      const name = acceptedContent<{ name: string }>(given, 'user_name')?.name;
      const greeting = (given?.greeting as { content?: { text?: string } } | undefined)?.content?.text;
      const roots = rootsOf(given?.client_roots);
      if (name !== undefined && greeting !== undefined && roots !== null)
        return say(`${greeting} ${name}, ${roots.length} roots`);
      return inputRequired({
        inputRequests: {
          user_name: ask('What is your name?', 'name'),
          greeting: complete('Generate a greeting'),
          client_roots: inputRequired.listRoots(),
        },
        requestState: await states.mint({ round: 1 }),
      });
    });
    tool('test_input_required_result_multi_round', async (context) => {
      const state = context.mcpReq.requestState<{ round: number; name?: string }>();
      if (state === undefined)
        return inputRequired({
          inputRequests: { step1: ask('Step 1: What is your name?', 'name') },
          requestState: await states.mint({ round: 1 }),
        });
      if (state.round === 1)
        return inputRequired({
          inputRequests: { step2: ask('Step 2: What is your favorite color?', 'color') },
          requestState: await states.mint({
            round: 2,
            name: acceptedContent<{ name: string }>(answers(context), 'step1')?.name ?? 'nobody',
          }),
        });
      const color = acceptedContent<{ color: string }>(answers(context), 'step2')?.color;
      return say(`${state.name} likes ${color}`);
    });
    tool('test_input_required_result_capabilities', (context) => {
      if (answers(context) !== undefined) return say('all answered');
      const envelope = context.mcpReq.envelope as Record<string, unknown> | undefined;
      const declared = envelope?.[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities | undefined;
      const inputRequests: InputRequests = {};
      if (declared?.elicitation) inputRequests.user_name = ask('What is your name?', 'name');
      if (declared?.sampling) inputRequests.greeting = complete('Generate a greeting');
      if (declared?.roots) inputRequests.client_roots = inputRequired.listRoots();
      return Object.keys(inputRequests).length === 0
        ? say('the client can be asked for nothing')
        : inputRequired({ inputRequests });
    });
  }
}

function rootsOf(answer: unknown): { uri: string }[] | null {
  const roots = (answer as { roots?: { uri: string }[] } | undefined)?.roots;
  return Array.isArray(roots) ? roots : null;
}

function addContentTools(server: McpServer): void {
  const image = { type: 'image' as const, data: png, mimeType: 'image/png' };
  const embedded = (uri: string, mimeType: string, text: string) => ({
    type: 'resource' as const,
    resource: { uri, mimeType, text },
  });
  server.registerTool('test_simple_text', { description: 'Text' }, () =>
    say('This is a simple text response for testing.'),
  );
  server.registerTool('test_image_content', { description: 'An image' }, () => ({ content: [image] }));
  server.registerTool('test_audio_content', { description: 'A sound' }, () => ({
    content: [{ type: 'audio', data: wav, mimeType: 'audio/wav' }],
  }));
  server.registerTool('test_embedded_resource', { description: 'A resource' }, () => ({
    content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  }));
  server.registerTool('test_multiple_content_types', { description: 'Several' }, () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      image,
      embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ],
  }));
  server.registerTool('test_error_handling', { description: 'Fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing');
  });
  server.registerTool(
    'test_tool_with_logging',
    { description: 'Logs', inputSchema: nothing },
    async (_args, { mcpReq }) => {
      for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed'])
        await mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } });
      return say('logged');
    },
  );
  server.registerTool(
    'test_tool_with_progress',
    { description: 'Tells its progress', inputSchema: nothing },
    async (_args, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      if (progressToken !== undefined)
        for (const progress of [0, 50, 100])
          await mcpReq.notify({
            method: 'notifications/progress',
            params: { progressToken, progress, total: 100, message: `step ${progress}` },
          });
      return say(String(progressToken));
    },
  );
  server.registerTool(
    'test_x_mcp_header',
    {
      description: 'Has an argument that is mirrored into a header',
      inputSchema: fromJsonSchema<{ region?: string }>({
        type: 'object',
        properties: {
          region: { type: 'string', ...{ 'x-mcp-header': 'Region' } },
          level: { type: 'integer' },
        },
      }),
    },
    ({ region }) => say(`region=${region}`),
  );
  server.registerTool(
    'json_schema_2020_12_tool',
    {
      description: 'Has a schema with what JSON Schema 2020-12 brought',
      inputSchema: fromJsonSchema({
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        type: 'object',
        $defs: {
          address: {
            $anchor: 'addressDef',
            type: 'object',
            properties: { street: { type: 'string' }, city: { type: 'string' } },
          },
        },
        properties: {
          name: { type: 'string' },
          address: { $ref: '#/$defs/address' },
          contactMethod: { type: 'string', enum: ['phone', 'email'] },
          phone: { type: 'string' },
          email: { type: 'string' },
        },
        allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
        if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
        // Written so because an object with a `then` of its own looks like a promise.
        ...Object.fromEntries([['then', { required: ['phone'] }]]),
        else: { required: ['email'] },
        additionalProperties: false,
      }),
    },
    (args) => say(JSON.stringify(args)),
  );
}

/** What servers of 2025-11-25 ask in the middle of a call. */
function addOlderProtocolTools(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'Asks for a completion', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, { mcpReq }) => {
      const { content } = (await mcpReq.send({
        method: 'sampling/createMessage',
        params: { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 },
      })) as { content?: { text?: string } };
      return say(`LLM response: ${content?.text}`);
    },
  );
  const elicit = async (
    { mcpReq }: ServerContext,
    message: string,
    properties: Record<string, object>,
    required: string[] = [],
  ) => {
    const requestedSchema = { type: 'object' as const, properties, required };
    const params = { message, requestedSchema } as Parameters<typeof inputRequired.elicit>[0];
    const { action, content } = (await mcpReq.send({
      method: 'elicitation/create',
      params: params as never,
    })) as { action: string; content?: object };
    return say(`User response: action=${action}, content=${JSON.stringify(content ?? {})}`);
  };
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the person', inputSchema: z.object({ message: z.string() }) },
    ({ message }, context) =>
      elicit(context, message, { response: { type: 'string', description: 'An answer' } }, ['response']),
  );
  server.registerTool(
    'test_elicitation_sep1034_defaults',
    { description: 'Asks with defaults', inputSchema: nothing },
    (_args, context) =>
      elicit(context, 'Please review the defaults', {
        name: { type: 'string', default: 'John Doe' },
        age: { type: 'integer', default: 30 },
        score: { type: 'number', default: 95.5 },
        status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
        verified: { type: 'boolean', default: true },
      }),
  );
  const titled = (first: string) => [
    { const: 'value1', title: `First ${first}` },
    { const: 'value2', title: `Second ${first}` },
    { const: 'value3', title: `Third ${first}` },
  ];
  server.registerTool(
    'test_elicitation_sep1330_enums',
    { description: 'Asks with choices', inputSchema: nothing },
    (_args, context) =>
      elicit(context, 'Please choose', {
        untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
        titledSingle: { type: 'string', oneOf: titled('Option') },
        legacyEnum: {
          type: 'string',
          enum: ['opt1', 'opt2', 'opt3'],
          enumNames: ['Option One', 'Option Two', 'Option Three'],
        },
        untitledMulti: {
          type: 'array',
          minItems: 1,
          maxItems: 3,
          items: { type: 'string', enum: ['option1', 'option2', 'option3'] },
        },
        titledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { anyOf: titled('Choice') } },
      }),
  );
}

function addResources(server: McpServer): void {
  const text = (uri: string, value: string, mimeType = 'text/plain') => ({
    contents: [{ uri, mimeType, text: value }],
  });
  const about = (title: string, mimeType: string) => ({ title, description: title, mimeType });
  server.registerResource('static-text', 'test://static-text', about('Text', 'text/plain'), () =>
    text('test://static-text', 'This is the content of the static text resource.'),
  );
  server.registerResource('static-binary', 'test://static-binary', about('Image', 'image/png'), () => ({
    contents: [{ uri: 'test://static-binary', mimeType: 'image/png', blob: png }],
  }));
  server.registerResource('watched-resource', 'test://watched-resource', about('Watched', 'text/plain'), () =>
    text('test://watched-resource', 'Watched resource content'),
  );
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    about('Template', 'application/json'),
    (uri, { id }) =>
      text(
        uri.href,
        JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        'application/json',
      ),
  );
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
}

function addPrompts(server: McpServer): void {
  const user = (content: object) => ({ role: 'user' as const, content: content as never });
  const words = (text: string) => user({ type: 'text', text });
  server.registerPrompt('test_simple_prompt', { description: 'Without arguments' }, () => ({
    messages: [words('This is a simple prompt for testing.')],
  }));
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'With two', argsSchema: z.object({ arg1: z.string(), arg2: z.string() }) },
    ({ arg1, arg2 }) => ({
      messages: [words(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
    }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'With a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri: uri }) => ({
      messages: [
        user({
          type: 'resource',
          resource: { uri, mimeType: 'text/plain', text: 'Embedded resource content' },
        }),
        words('Please process the embedded resource above.'),
      ],
    }),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'With an image' }, () => ({
    messages: [
      user({ type: 'image', data: png, mimeType: 'image/png' }),
      words('Please analyze the image above.'),
    ],
  }));
  server.registerPrompt(
    'test_input_required_result_prompt',
    { description: 'Asks the person first' },
    (context: unknown) => {
      const { mcpReq } = context as ServerContext;
      const given = acceptedContent<{ context: string }>(mcpReq.inputResponses, 'user_context')?.context;
      return given === undefined
        ? inputRequired({ inputRequests: { user_context: ask('What context?', 'context') } })
        : { messages: [words(`Use the following context: ${given}`)] };
    },
  );
}
