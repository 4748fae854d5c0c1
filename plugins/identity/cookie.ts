// The cookie that holds a session.

/** Secure wherever the site is: that is the host's to know, and its default. */
export const sessionCookie = { name: 'session', attributes: { path: '/', httpOnly: true, sameSite: 'strict', overwrite: true } } as const
