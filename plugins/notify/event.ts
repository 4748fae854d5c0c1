// Translates events of other plugins into notifications and their recipients. Payloads may have more fields than are
// read here.

import { z } from 'bulkhead'
import type { Told } from './form.ts'
import { shorten } from './text.ts'

const Person = z.looseObject({ id: z.uuid(), name: z.string() })
const Project = z.looseObject({ id: z.uuid(), name: z.string(), ownerId: z.uuid() })
const Fact = z.looseObject({ actor: Person.nullish(), project: Project.nullish() })
const Issue = z.looseObject({ id: z.uuid(), number: z.int(), title: z.string(), authorId: z.uuid().nullish(), assigneeId: z.uuid().nullish() })
const MergeRequest = z.looseObject({ id: z.uuid(), number: z.int(), title: z.string(), authorId: z.uuid().nullish() })
type Fact = z.output<typeof Fact>

const OfIssue = Fact.extend({ issue: Issue, changes: z.array(z.string()).nullish() })
const OfComment = Fact.extend({
  comment: z.looseObject({ body: z.string(), authorId: z.uuid().nullish() }), issue: Issue.nullish(), mergeRequest: MergeRequest.nullish()
})
const OfMergeRequest = Fact.extend({ mergeRequest: MergeRequest })
const OfReview = OfMergeRequest.extend({ review: z.looseObject({ verdict: z.string().nullish(), body: z.string().nullish() }).nullish() })
const OfWebhook = Fact.extend({ webhook: z.looseObject({ id: z.uuid(), url: z.string() }), reason: z.string().nullish() })

/** Translates a payload that fits the schema into notifications. */
interface Reading<Payload extends z.ZodType = z.ZodType> {
  readonly schema: Payload
  read (payload: z.output<Payload>): Told[]
}
const reading = <Payload extends z.ZodType>(schema: Payload, read: (payload: z.output<Payload>) => Told[]): Reading => ({ schema, read })

const quotedMax = 2_000
const who = ({ actor }: Fact): string => actor?.name ?? 'The platform'
const where = ({ project }: Fact): string => project === null || project === undefined ? '' : ` in ${project.name}`
const quote = (text: string): string => shorten(text, quotedMax)

/** Creates one notification for each person, but none for the person who acted. */
const tell = (fact: Fact, people: readonly (string | null | undefined)[], notice: Omit<Told, 'to' | 'projectId'>): Told[] =>
  [...new Set(people)].flatMap(to => to === null || to === undefined || to === fact.actor?.id ? []
    : [{ ...notice, to, ...fact.project !== null && fact.project !== undefined && { projectId: fact.project.id } }])

const assigned = (fact: z.output<typeof OfIssue>): Told[] => tell(fact, [fact.issue.assigneeId], {
  kind: 'issue.assigned',
  subject: `${who(fact)} assigned issue #${fact.issue.number} to you${where(fact)}: ${fact.issue.title}`,
  text: `${who(fact)} assigned the issue #${fact.issue.number} to you${where(fact)}.\n\n${fact.issue.title}`,
  ref: { type: 'issue', id: fact.issue.id }
})

export const readings: Readonly<Record<string, Reading>> = {
  'issue.opened': reading(OfIssue, assigned),
  'issue.changed': reading(OfIssue, fact => fact.changes?.some(name => name === 'assignee' || name === 'assigneeId') === true ? assigned(fact) : []),

  'comment.created': reading(OfComment, fact => {
    const { issue, mergeRequest, comment } = fact
    const thing = issue ?? mergeRequest
    if (thing === null || thing === undefined) return []
    const name = `${thing === issue ? 'issue' : 'merge request'} #${thing.number}`
    return tell(fact, [thing.authorId, issue?.assigneeId], {
      kind: 'comment.created',
      subject: `${who(fact)} commented on ${name}${where(fact)}: ${thing.title}`,
      text: `${who(fact)} commented on the ${name}${where(fact)}, "${thing.title}":\n\n${quote(comment.body)}`,
      ref: { type: thing === issue ? 'issue' : 'merge-request', id: thing.id }
    }).filter(({ to }) => to !== comment.authorId)
  }),

  'merge-request.reviewed': reading(OfReview, fact => {
    const { mergeRequest: { id, number, title, authorId }, review } = fact
    const verdicts: Readonly<Record<string, string>> = { approve: 'approved', approved: 'approved', request_changes: 'requested changes to', changes_requested: 'requested changes to' }
    const did = verdicts[review?.verdict?.replaceAll('-', '_') ?? ''] ?? 'reviewed'
    return tell(fact, [authorId], {
      kind: 'merge-request.reviewed',
      subject: `${who(fact)} ${did} merge request #${number}${where(fact)}: ${title}`,
      text: `${who(fact)} ${did} the merge request #${number}${where(fact)}, "${title}".\n\n${quote(review?.body ?? '')}`.trimEnd(),
      ref: { type: 'merge-request', id }
    })
  }),

  'merge-request.merged': reading(OfMergeRequest, fact => {
    const { mergeRequest: { id, number, title, authorId } } = fact
    return tell(fact, [authorId], {
      kind: 'merge-request.merged',
      subject: `${who(fact)} merged merge request #${number}${where(fact)}: ${title}`,
      text: `${who(fact)} merged the merge request #${number}${where(fact)}, "${title}".`,
      ref: { type: 'merge-request', id }
    })
  }),

  'webhook.disabled': reading(OfWebhook, fact => tell({ ...fact, actor: null }, [fact.project?.ownerId], {
    kind: 'webhook.disabled',
    subject: `A webhook was switched off${where(fact)}: ${fact.webhook.url}`,
    text: `The webhook to ${fact.webhook.url} was switched off${where(fact)}${fact.reason === null || fact.reason === undefined ? '' : `: ${fact.reason}`}.`,
    ref: { type: 'webhook', id: fact.webhook.id }
  }))
}

/** The kinds of notification that this plugin creates itself. Other plugins may send further kinds. */
export const knownKinds = ['issue.assigned', 'comment.created', 'merge-request.reviewed', 'merge-request.merged', 'webhook.disabled'] as const
