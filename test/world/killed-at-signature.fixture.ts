/**
 * For a gateway that is started with `--import`: the next access token that it would have signed while the file named in
 * the environment lies there kills it, as a power cut would. By then the token of the request is claimed, its successor
 * written, and nothing answered.
 */
import { rmSync } from 'node:fs';
import { VaultSigningKey } from '../../gateway/authorization-server/signer.ts';

const file = process.env.LATCHKEY_TEST_KILL_FILE!;
const { sign } = VaultSigningKey.prototype;

VaultSigningKey.prototype.sign = function (data) {
  if (wasThere(file)) process.kill(process.pid, 'SIGKILL');
  return sign.call(this, data);
};

/** Of several gateways one takes it. */
function wasThere(path: string): boolean {
  try {
    rmSync(path);
    return true;
  } catch {
    return false;
  }
}
