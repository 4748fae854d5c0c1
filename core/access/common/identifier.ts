// Checks the form of user names, e-mail addresses and ids, and makes the keys by which names and addresses are compared.

import { findLineFault } from '../../contract/text.ts'

export const nameForm = /^(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,255}(?<!\.)$/
const emailForm = /^[^\s@]+@[^\s@]+$/u
export const isEmail = (text: string): boolean => text.length <= 254 && emailForm.test(text) && findLineFault(text) === undefined
export const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * Names are ASCII, so only A to Z become lower case. The result equals `lower(name collate "C")` in the queries,
 * in a database of any locale.
 */
export const nameKeyOf = (name: string): string => name.replaceAll(/[A-Z]+/g, capitals => capitals.toLowerCase())
/** An address may hold letters of any script, and the locale of the database must not decide which of them are equal. */
export const emailKeyOf = (email: string): string => email.normalize('NFC').toLowerCase()
