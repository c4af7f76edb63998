/**
 * The kinds of leaf that the configuration has. Each leaf says what it means and shows an example, so that a
 * problem report can tell what to write instead.
 */
import * as z from 'zod';
import { durationPattern, lifespanSchema, waitSchema } from './duration.ts';

export const text = (description: string, example: string) =>
  z
    .string()
    .min(1, { error: 'must not be empty' })
    .meta({ description, examples: [example] });

/** What JSON Schema can say of an address; the letters of a scheme may be of either case. */
export const httpUrlPattern = '^[hH][tT][tT][pP][sS]?:';

export const httpUrl = (description: string, example: string) =>
  z
    .url({ protocol: /^https?$/, error: 'must be a full http or https address' })
    .meta({ description, examples: [example], pattern: httpUrlPattern });

export const uri = (description: string, example: string) =>
  z.url({ error: 'must be a full address' }).meta({ description, examples: [example] });

export const environmentVariablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The name of a variable; a pasted secret rarely looks like one, and is not shown if it does not. */
export const environmentVariable = (description: string, example: string) =>
  z
    .string()
    .regex(environmentVariablePattern, {
      error: 'must be the name of an environment variable, not the secret itself',
    })
    .meta({ description, examples: [example] });

export const filePath = (description: string, example: string) =>
  z
    .string()
    .min(1, { error: 'must be the path of a file' })
    .meta({ description, examples: [example] });

export const lifespan = (description: string, example: string) =>
  lifespanSchema.meta({ description, examples: [example], pattern: durationPattern.source });

export const wait = (description: string, example: string) =>
  waitSchema.meta({ description, examples: [example], pattern: durationPattern.source });

export const scopes = (description: string, example: string) =>
  z
    .array(
      z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, {
        error: 'must be one scope (RFC 6749 section 3.3), without spaces',
      }),
    )
    .meta({ description, examples: [example] });
