// Keeps what a demo identity provider has issued: in a file, so that a provider killed with kill -9 goes on where it
// was, or in memory. A code or refresh token is consumed at most once, by one conditional update: a second use,
// also one that runs at the same time, ends the whole family (RFC 9700 section 4.14.2).
import Database from 'better-sqlite3';
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';

type Row = { payload: string; grant_id: string | null; consumed: number | null };

export function openProviderState(file: string | ':memory:') {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  database.exec(`
    CREATE TABLE IF NOT EXISTS records (
      model TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL, grant_id TEXT, uid TEXT, user_code TEXT,
      consumed INTEGER, expires_at INTEGER, PRIMARY KEY (model, id)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS records_by_grant ON records (grant_id) WHERE grant_id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS records_by_uid ON records (uid) WHERE uid IS NOT NULL;
    CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  `);
  const now = () => Math.floor(Date.now() / 1000);
  database.prepare('DELETE FROM records WHERE expires_at < ?').run(now());

  const columns = 'SELECT payload, grant_id, consumed FROM records';
  const live = '(expires_at IS NULL OR expires_at > ?)';
  const upsert = database.prepare(`
    INSERT INTO records (model, id, payload, grant_id, uid, user_code, consumed, expires_at) VALUES (?, ?, ?, ?, ?, ?, NULL, ?)
    ON CONFLICT DO UPDATE SET payload = excluded.payload, grant_id = excluded.grant_id, uid = excluded.uid,
      user_code = excluded.user_code, expires_at = excluded.expires_at
  `);
  const find = database.prepare<unknown[], Row>(`${columns} WHERE model = ? AND id = ? AND ${live}`);
  const findByUid = database.prepare<unknown[], Row>(`${columns} WHERE model = ? AND uid = ? AND ${live}`);
  const findByUserCode = database.prepare<unknown[], Row>(
    `${columns} WHERE model = ? AND user_code = ? AND ${live}`,
  );
  const consume = database.prepare(
    'UPDATE records SET consumed = ? WHERE model = ? AND id = ? AND consumed IS NULL',
  );
  const destroy = database.prepare('DELETE FROM records WHERE model = ? AND id = ?');
  const endFamily = database.prepare(
    "DELETE FROM records WHERE grant_id = ? OR (model = 'Grant' AND id = ?)",
  );
  const revoke = database.prepare('DELETE FROM records WHERE model = ? AND grant_id = ?');
  const readSecret = database.prepare<unknown[], { value: string }>(
    'SELECT value FROM secrets WHERE name = ?',
  );
  const writeSecret = database.prepare('INSERT INTO secrets (name, value) VALUES (?, ?)');

  const fromRow = (row: Row | undefined): AdapterPayload | undefined =>
    row && { ...JSON.parse(row.payload), ...(row.consumed === null ? {} : { consumed: row.consumed }) };

  const createAdapter = (model: string): Adapter => ({
    async upsert(id, payload, expiresIn) {
      const expiresAt = expiresIn === undefined ? null : now() + expiresIn;
      const { grantId = null, uid = null, userCode = null } = payload;
      upsert.run(model, id, JSON.stringify(payload), grantId, uid, userCode, expiresAt);
    },
    find: async (id) => fromRow(find.get(model, id, now())),
    findByUid: async (uid) => fromRow(findByUid.get(model, uid, now())),
    findByUserCode: async (userCode) => fromRow(findByUserCode.get(model, userCode, now())),
    async consume(id) {
      if (consume.run(now(), model, id).changes === 1) return;
      const grantId = find.get(model, id, now())?.grant_id;
      if (grantId) endFamily.run(grantId, grantId);
      throw new errors.InvalidGrant('already used');
    },
    async destroy(id) {
      destroy.run(model, id);
    },
    async revokeByGrantId(grantId) {
      revoke.run(model, grantId);
    },
  });

  return {
    createAdapter,
    /** A secret that stays the same over restarts; made by `create` on first use. */
    async keepSecret(name: string, create: () => Promise<string> | string): Promise<string> {
      const kept = readSecret.get(name)?.value;
      if (kept !== undefined) return kept;
      const value = await create();
      writeSecret.run(name, value);
      return value;
    },
    close(): void {
      database.close();
    },
  };
}
