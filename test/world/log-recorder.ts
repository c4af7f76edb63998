/**
 * Reads everything that the log of the vault stores, as it is stored, and says which events were written by somebody
 * who was not the owner of the partition any more: whose owner marker was followed by another one before the event.
 */
import { connect } from 'nats';
import { streamNames, streamSubjects } from '../../schemas/subjects.ts';

export interface LogRecorder extends AsyncDisposable {
  /** Subjects of events under a marker that was not the last. Read up to the present end of the log. */
  lateWrites(): Promise<string[]>;
  readonly events: () => number;
  readonly markers: () => number;
}

export async function recordLog(url: string): Promise<LogRecorder> {
  const connection = await connect({ servers: url.split(',') });
  const manager = await connection.jetstreamManager();
  const markers = new Map<string, number[]>();
  const events: { subject: string; partition: string; epoch: number; seq: number }[] = [];
  let position = 0;
  const consumer = await connection
    .jetstream()
    .consumers.get(streamNames.vault, { filterSubjects: [streamSubjects.log, streamSubjects.facts] });
  const messages = await consumer.consume({ expires: 2000 });
  const reading = (async () => {
    for await (const { subject, seq, headers } of messages) {
      position = seq;
      const [, kind, partition = '', aggregate] = subject.split('.');
      if (kind !== 'log') continue;
      if (aggregate === 'owner') markers.set(partition, [...(markers.get(partition) ?? []), seq]);
      else
        events.push({
          subject,
          partition,
          seq,
          epoch: Number(headers?.get('Nats-Expected-Last-Subject-Sequence')),
        });
    }
  })();
  return {
    events: () => events.length,
    markers: () => [...markers.values()].flat().length,
    async lateWrites() {
      const { state } = await manager.streams.info(streamNames.vault);
      while (position < state.last_seq) await new Promise((resolve) => setTimeout(resolve, 20));
      const isLate = ({ partition, epoch, seq }: (typeof events)[number]) =>
        !(epoch > 0) || (markers.get(partition) ?? []).some((marker) => epoch < marker && marker < seq);
      return events.filter(isLate).map(({ subject, seq }) => `${subject} at ${seq}`);
    },
    async [Symbol.asyncDispose]() {
      messages.stop();
      await reading;
      await connection.close();
    },
  };
}
