// The forms of what people type about themselves, and of ids.

export const nameForm = /^(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,255}(?<!\.)$/
export const emailForm = /^(?=.{3,254}$)[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u
export const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
