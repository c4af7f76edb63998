/**
 * Stops a process, or loses what it was told, at one named step of its work: the ports that the process is given are
 * wrapped, the product itself knows nothing of it. A fault is armed by a message and happens once.
 */
import { ErrorCode, type Msg, type NatsConnection, NatsError, type Subscription } from 'nats';

/**
 * `before:<fact>` and `after:<fact>`: around the batch with this fact. `before:marker`: before that of an owner. `reply:<operation>`: before an answer
 * leaves. Other names are those that the process gives to its ports.
 */
export interface Fault {
  readonly at: string;
  /** `hold`: tells `{ reached }` and goes on when told `go-on`. */
  /** Only there. */
  readonly partition?: number;
  readonly act: 'kill' | 'pause' | 'lose' | 'hold';
}

export interface Faults {
  /** Resolves true if what happens here is to be lost. */
  reach(step: string, partition?: number): Promise<boolean> | boolean;
}

export function listenForFaults(): Faults {
  let armed: Fault | null = null;
  process.on('message', (message: { arm?: Fault }) => {
    if (!message.arm) return;
    armed = message.arm;
    process.send!({ armed: true });
  });
  return {
    reach(step, partition) {
      if (armed?.at !== step || (armed.partition ?? partition) !== partition) return false;
      const { act } = armed;
      armed = null;
      if (act === 'kill') process.kill(process.pid, 'SIGKILL');
      process.send!({ reached: step });
      if (act === 'pause') process.kill(process.pid, 'SIGSTOP');
      if (act !== 'hold') return act === 'lose';
      return new Promise((resolve) => {
        const goOn = (message: unknown) => {
          if (message !== 'go-on') return;
          process.off('message', goOn);
          resolve(false);
        };
        process.on('message', goOn);
      });
    },
  };
}

/** The connection with steps around each append to the log and before each answer. */
export function withFaults<Connection extends NatsConnection>(
  connection: Connection,
  faults: Faults,
): Connection {
  /** Facts of batches that are not committed yet: those of many partitions may be in one. */
  const open = new Map<string, { fact: string; partition: number }[]>();
  const publish: NatsConnection['publish'] = (subject, payload, options) => {
    const [, kind, partition, fact = ''] = subject.split('.');
    const batch = options?.headers?.get('Nats-Batch-Id');
    if (kind === 'fact' && batch)
      open.set(batch, [...(open.get(batch) ?? []), { fact, partition: Number(partition) }]);
    connection.publish(subject, payload, options);
  };
  const request: NatsConnection['request'] = async (subject, payload, options) => {
    const [, kind, partition, fact] = subject.split('.');
    if (kind === 'log' && fact === 'owner') await faults.reach('before:marker');
    if (kind !== 'fact') return connection.request(subject, payload, options);
    const batch = options?.headers?.get('Nats-Batch-Id') ?? '';
    const facts = [...(open.get(batch) ?? []), { fact, partition: Number(partition) }];
    open.delete(batch);
    for (const one of facts) {
      const early = faults.reach(`before:${one.fact}`, one.partition);
      if (early instanceof Promise) await early;
    }
    const reply = await connection.request(subject, payload, options);
    for (const one of facts)
      if (await faults.reach(`after:${one.fact}`, one.partition))
        throw NatsError.errorForCode(ErrorCode.Timeout);
    return reply;
  };
  const subscribe: NatsConnection['subscribe'] = (subject, options = {}): Subscription => {
    const { callback } = options;
    if (!callback) return connection.subscribe(subject, options);
    return connection.subscribe(subject, {
      ...options,
      // One subscription serves many operations.
      callback: (error, message) =>
        callback(error, error ? message : answering(message, message.subject.split('.')[3])),
    });
  };
  const answering = (message: Msg, operation: string | undefined): Msg =>
    new Proxy(message, {
      get(target, name) {
        if (name !== 'respond') return own(target, name);
        const respond: Msg['respond'] = (...given) => {
          const lost = faults.reach(`reply:${operation}`);
          return lost === false ? target.respond(...given) : true;
        };
        return respond;
      },
    });
  return new Proxy(connection, {
    get(target, name) {
      if (name === 'request') return request;
      if (name === 'publish') return publish;
      if (name === 'subscribe') return subscribe;
      return own(target, name);
    },
  });
}

function own(target: object, name: string | symbol): unknown {
  const value = Reflect.get(target, name, target);
  return typeof value === 'function' ? value.bind(target) : value;
}
