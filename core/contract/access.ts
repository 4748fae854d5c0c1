// Who is calling and what they may do. People and agents are the same kind of user.

/** The caller of a request. */
export interface User {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly email: string
  /** Effective permissions outside any project, already narrowed by a token's scopes. */
  readonly permissions: ReadonlySet<string>
  readonly signedInBy: Session | Token
}

export interface Session {
  readonly kind: 'session'
  readonly id: string
  /** ISO 8601. */
  readonly expiresAt: string
}

export interface Token {
  readonly kind: 'token'
  readonly id: string
  /** Empty: not narrowed. */
  readonly scopes: readonly string[]
  /** The only project the token works in, or null for all. */
  readonly projectId: string | null
  /** ISO 8601, or null for never. */
  readonly expiresAt: string | null
}

export interface NewSession {
  readonly token: string
  readonly user: Pick<User, 'id' | 'name' | 'displayName' | 'email'>
  readonly expiresAt: string
}

export interface TokenRecord {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly projectId: string | null
  readonly lastUsedAt: string | null
  readonly expiresAt: string | null
  readonly createdAt: string
}

/** Where a request came from, for the audit log. */
export interface Origin {
  /** The client's address behind the trusted proxies, or undefined when it is not known. */
  readonly address: string | undefined
  readonly userAgent: string | undefined
}

export interface Page { limit: number, offset: number }

/**
 * The named resource `access`: signing in and out, and a user's own API tokens. The plugin `identity` is its API;
 * any plugin may declare it.
 */
export interface Access {
  /** `Unauthorized` for an unknown name, a wrong password and an inactive user alike, in the same time; `TooManyRequests` past the limit. */
  login (input: { name: string, password: string }, origin: Origin): Promise<NewSession>
  /** Ends the session the user is signed in by; `BadRequest` for a caller who came with an API token. */
  logout (user: User, origin: Origin): Promise<void>
  /**
   * `token` is shown here and never again. `ValidationFailed` for a scope nobody knows or a life over 365 days; `Forbidden` for a scope
   * that the caller's own token does not have; `TooManyRequests` past 20 an hour.
   */
  createToken (
    user: User, input: { name: string, scopes: string[], projectId?: string | undefined, expiresInDays: number }, origin: Origin
  ): Promise<TokenRecord & { token: string }>
  listTokens (user: User, page: Page): Promise<{ items: TokenRecord[], total: number }>
  /** `NotFound` when the token is not the user's own. */
  revokeToken (user: User, id: string, origin: Origin): Promise<void>
}
