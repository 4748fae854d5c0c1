// The forms of what people type about themselves, and of ids.

import { findLineFault } from '../../contract/text.ts'

export const nameForm = /^(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,255}(?<!\.)$/
const emailForm = /^[^\s@]+@[^\s@]+$/u
export const isEmail = (text: string): boolean => text.length <= 254 && emailForm.test(text) && findLineFault(text) === undefined
export const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Names are ASCII, so this is what `lower` gives in every locale. */
export const nameKeyOf = (name: string): string => name.replaceAll(/[A-Z]+/g, capitals => capitals.toLowerCase())
/** An address may hold any letters: the locale of the database must not decide which of them are the same. */
export const emailKeyOf = (email: string): string => email.normalize('NFC').toLowerCase()
