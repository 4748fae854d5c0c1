// Defines a note and contains every statement on the table of notes. A note belongs to its author; other users see it
// only when it is shared.

import { Forbidden, multiLine, NotFound, singleLine, sql, z, type Postgres } from 'bulkhead'

const title = singleLine(500)
const body = multiLine(100_000)

export const NewNote = z.object({ title, body: body.default(''), isShared: z.boolean().default(false) })
export const NotePatch = z.object({ title, body, isShared: z.boolean() }).partial()

export const Note = z.object({
  id: z.uuid(),
  authorId: z.uuid(),
  title: z.string(),
  body: z.string(),
  isShared: z.boolean(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime()
})
export type Note = z.infer<typeof Note>

const Count = z.object({ count: z.int() })
const Gone = z.object({ id: z.uuid() })

export interface Notes {
  /** Finds a note. Rejects with `NotFound` when there is none, or none that the user may see. */
  find (userId: string, id: string): Promise<Note>
}

export function createNotes (postgres: Postgres) {
  const find = async (userId: string, id: string): Promise<Note> => {
    const note = await postgres.maybeOne(sql.type(Note)`
      select id, author_id as "authorId", title, body, is_shared as "isShared", created_at as "createdAt", updated_at as "updatedAt"
      from notes.note
      where id = ${id} and (author_id = ${userId} or is_shared)
    `)
    if (note === null) throw new NotFound('There is no such note.')
    return note
  }

  /**
   * Rejects with the reason why the user could not change the note: `NotFound` when the user cannot see it, otherwise
   * `Forbidden`.
   */
  const refuse = async (userId: string, id: string): Promise<never> => {
    await find(userId, id)
    throw new Forbidden('Only its author may change or delete a note.')
  }

  return {
    find,

    /** Lists the notes that the user may see, newest first. */
    list: async (userId: string, { limit, offset }: { limit: number, offset: number }): Promise<{ items: Note[], total: number }> => {
      const items = await postgres.any(sql.type(Note)`
        select id, author_id as "authorId", title, body, is_shared as "isShared", created_at as "createdAt", updated_at as "updatedAt"
        from notes.note
        where author_id = ${userId} or is_shared
        order by created_at desc, id
        limit ${limit} offset ${offset}
      `)
      const { count } = await postgres.one(sql.type(Count)`
        select count(*) as count from notes.note where author_id = ${userId} or is_shared
      `)
      return { items: [...items], total: count }
    },

    add: (userId: string, { title, body, isShared }: z.infer<typeof NewNote>): Promise<Note> => postgres.one(sql.type(Note)`
      insert into notes.note (author_id, title, body, is_shared)
      values (${userId}, ${title}, ${body}, ${isShared})
      returning id, author_id as "authorId", title, body, is_shared as "isShared", created_at as "createdAt", updated_at as "updatedAt"
    `),

    /** Changes a note. Rejects with `Forbidden` for another user's note. */
    change: async (userId: string, id: string, { title, body, isShared }: z.infer<typeof NotePatch>): Promise<Note> => {
      const note = await postgres.maybeOne(sql.type(Note)`
        update notes.note
        set title = coalesce(${title ?? null}, title), body = coalesce(${body ?? null}, body), is_shared = coalesce(${isShared ?? null}, is_shared)
        where id = ${id} and author_id = ${userId}
        returning id, author_id as "authorId", title, body, is_shared as "isShared", created_at as "createdAt", updated_at as "updatedAt"
      `)
      return note ?? await refuse(userId, id)
    },

    /** Deletes a note. Rejects with `Forbidden` for another user's note. */
    remove: async (userId: string, id: string): Promise<void> => {
      const gone = await postgres.maybeOne(sql.type(Gone)`
        delete from notes.note where id = ${id} and author_id = ${userId} returning id
      `)
      if (gone === null) await refuse(userId, id)
    },

    /** Deletes the notes that have not changed for this number of days. Resolves with the number of deleted notes. */
    purge: async (days: number): Promise<number> => {
      const gone = await postgres.any(sql.type(Gone)`
        delete from notes.note where updated_at < now() - make_interval(days => ${days}) returning id
      `)
      return gone.length
    },

    count: async (): Promise<number> => (await postgres.one(sql.type(Count)`select count(*) as count from notes.note`)).count
  }
}
