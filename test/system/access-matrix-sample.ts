// What the matrix sends to each route that needs something, and what it is answered once the guard has let it through.

/** A caller of the matrix, by name. */
export type By = Readonly<Record<string, number>>

export interface Sample {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: string
  readonly body?: object
  /** Of a caller who is admitted; the route's own success unless said. Those not named in `by` get it. */
  readonly admitted?: number
  /** Whoever is named with 403 or 404 here is refused by the route's own rules, and changes nothing. */
  readonly by?: By
  /** Instead of `params`, where being let through would take away what other routes need. */
  readonly admittedParams?: Readonly<Record<string, string>>
  /** With a session of its own, because it ends it; after all others. */
  readonly endsSessions?: true
}

export interface Things {
  readonly victim: string
  readonly spare: string
  readonly role: string
  readonly spareRole: string
  readonly delegation: string
  readonly project: string
  /** In the project, as are issue 1 and merge request 1; all by the first admin, who owns it. */
  readonly comment: string
  readonly webhook: string
  readonly password: string
  readonly nobody: string
}

export function samplesFor (things: Things): Readonly<Record<string, Sample>> {
  const { victim, spare, role, spareRole, delegation, project, comment, webhook, password, nobody } = things
  const notTheirs = { developer: 403, ops: 403, agent: 403, viewer: 403, 'narrower token': 403 }
  const narrowed = { 'narrower token': 403 }
  const hidden = { developer: 404, ops: 404, agent: 404, viewer: 404, 'narrower token': 404 }
  const unseen = { ops: 404, agent: 404, 'narrower token': 404 }
  const notWriting = { ...unseen, viewer: 403 }
  const onlyAdmin = { ...notWriting, developer: 403 }
  const inProject = { projectId: project }
  const first = { projectId: project, number: '1' }
  const hook = { projectId: project, id: webhook }
  const noHook = { projectId: project, id: nobody }
  const none = { projectId: project, number: '999999' }
  return {
    'POST /api/auth/login': { body: { name: 'victim', password } },
    'POST /api/auth/logout': { by: { 'narrower token': 400 }, endsSessions: true },
    'POST /api/auth/password': { body: { token: 'no link', password }, admitted: 401 },
    'GET /api/auth/sessions': { by: narrowed },
    'GET /api/auth/sessions/:id': { params: { id: nobody }, admitted: 404, by: narrowed },
    'DELETE /api/auth/sessions/:id': { params: { id: nobody }, admitted: 404, by: { 'narrower token': 403 } },
    'DELETE /api/auth/sessions': { by: { 'narrower token': 403 }, endsSessions: true },

    'POST /api/users': { body: { name: 'newcomer', email: 'newcomer@example.org', password } },
    'GET /api/users/:id': { params: { id: victim }, by: notTheirs },
    'PATCH /api/users/:id': { params: { id: victim }, body: { displayName: 'Changed' }, by: notTheirs },
    'DELETE /api/users/:id': { params: { id: spare } },
    // The host of the matrix has no mail server.
    'POST /api/users/:id/password-link': { params: { id: victim }, admitted: 409 },

    'POST /api/tokens': { body: { name: 'another' }, by: { 'narrower token': 403 } },
    'DELETE /api/tokens': { by: narrowed },
    'DELETE /api/tokens/:id': { params: { id: nobody }, admitted: 404, by: narrowed },

    'POST /api/admin/roles': { body: { name: 'made-here' } },
    'PATCH /api/admin/roles/:id': { params: { id: role }, body: { description: 'Changed' } },
    'DELETE /api/admin/roles/:id': { params: { id: spareRole } },
    'GET /api/admin/roles/:id/permissions': { params: { id: role } },
    'PUT /api/admin/roles/:id/permissions': { params: { id: role }, body: { permissions: ['secret:write'] } },
    'GET /api/admin/users/:id/roles': { params: { id: victim } },
    'POST /api/admin/users/:id/roles': { params: { id: victim }, body: { roleId: role, projectId: project } },
    'DELETE /api/admin/users/:id/roles/:roleId': { params: { id: victim, roleId: role } },
    'POST /api/admin/delegations': {
      body: { delegateId: victim, permission: 'project:read' }, by: { ops: 403, agent: 403, 'narrower token': 403 }
    },
    'DELETE /api/admin/delegations/:id': { params: { id: delegation }, by: hidden },

    'POST /api/notes': { body: { title: 'A note' } },
    'GET /api/notes/:id': { params: { id: nobody }, admitted: 404 },
    'PATCH /api/notes/:id': { params: { id: nobody }, body: { title: 'Changed' }, admitted: 404 },
    'DELETE /api/notes/:id': { params: { id: nobody }, admitted: 404 },

    ...Object.assign({}, ...[{ at: 'global', params: {} }, { at: 'projects/:projectId', params: { projectId: project } }].map(({ at, params }) => {
      const named = { params: { ...params, name: 'SAMPLE' } }
      return {
        [`GET /api/secrets/${at}`]: { params },
        [`GET /api/secrets/${at}/:name`]: { ...named, admitted: 404 },
        [`PUT /api/secrets/${at}/:name`]: { ...named, body: { value: 'a value' } },
        [`DELETE /api/secrets/${at}/:name`]: named,
        [`POST /api/secrets/${at}/:name/undelete`]: named,
        [`GET /api/secrets/${at}/:name/versions`]: named,
        [`POST /api/secrets/${at}/:name/rollback`]: { ...named, body: { to: 1 }, admitted: 409 },
        [`POST /api/secrets/${at}/:name/reveal`]: named
      }
    })) as Record<string, Sample>,
    'POST /api/projects': { body: { name: 'made-here' } },
    'GET /api/projects': { by: { 'narrower token': 403 } },
    'GET /api/projects/:projectId': { params: inProject, by: unseen },
    'GET /api/projects/:projectId/permissions': { params: inProject, by: unseen },
    'PATCH /api/projects/:projectId': { params: inProject, body: { description: 'Changed' }, by: notWriting },
    'DELETE /api/projects/:projectId': { params: inProject, by: onlyAdmin, admittedParams: { projectId: nobody }, admitted: 404 },
    'POST /api/projects/:projectId/restore': { params: inProject, body: {}, admitted: 404 },
    'POST /api/projects/:projectId/issues': { params: inProject, body: { title: 'Another' }, by: notWriting },
    'GET /api/projects/:projectId/issues': { params: inProject, by: unseen },
    'GET /api/projects/:projectId/issues/:number': { params: first, by: unseen },
    'PATCH /api/projects/:projectId/issues/:number': { params: first, body: { title: 'Changed' }, by: notWriting },
    'POST /api/projects/:projectId/issues/:number/close': { params: first, by: { ...notWriting, developer: 409 } },
    'POST /api/projects/:projectId/issues/:number/reopen': { params: first, by: { ...notWriting, developer: 409 } },
    'GET /api/projects/:projectId/issues/:number/comments': { params: first, by: unseen },
    'POST /api/projects/:projectId/issues/:number/comments': { params: first, body: { body: 'Aye' }, by: unseen },
    'POST /api/projects/:projectId/merge-requests': { params: inProject, body: { title: 'Another', sourceBranch: 'a' }, by: { ...notWriting, developer: 409 } },
    'GET /api/projects/:projectId/merge-requests': { params: inProject, by: unseen },
    'GET /api/projects/:projectId/merge-requests/:number': { params: first, by: unseen },
    'PATCH /api/projects/:projectId/merge-requests/:number': { params: first, body: { title: 'Changed' }, by: notWriting },
    'POST /api/projects/:projectId/merge-requests/:number/close': { params: first, by: { ...notWriting, developer: 409 } },
    'POST /api/projects/:projectId/merge-requests/:number/reopen': { params: first, by: { ...notWriting, developer: 409 } },
    'POST /api/projects/:projectId/merge-requests/:number/merge': { params: first, by: notWriting, admittedParams: none, admitted: 404 },
    'GET /api/projects/:projectId/merge-requests/:number/reviews': { params: first, by: unseen },
    'POST /api/projects/:projectId/merge-requests/:number/reviews': { params: first, body: { verdict: 'comment' }, by: unseen },
    'DELETE /api/projects/:projectId/merge-requests/:number/reviews/:reviewerId': { params: { ...first, reviewerId: nobody }, by: onlyAdmin, admitted: 404 },
    'GET /api/projects/:projectId/merge-requests/:number/comments': { params: first, by: unseen },
    'POST /api/projects/:projectId/merge-requests/:number/comments': { params: first, body: { body: 'Aye' }, by: unseen },
    'PATCH /api/projects/:projectId/comments/:id': { params: { ...inProject, id: comment }, body: { body: 'Changed' }, by: onlyAdmin },
    'DELETE /api/projects/:projectId/comments/:id': { params: { ...inProject, id: comment }, by: onlyAdmin, admittedParams: { ...inProject, id: nobody }, admitted: 404 },
    'POST /api/projects/:projectId/webhooks': { params: inProject, body: { url: 'https://hooks.example.org/', events: ['push'] }, by: notWriting },
    'GET /api/projects/:projectId/webhooks': { params: inProject, by: notWriting },
    'GET /api/projects/:projectId/webhooks/:id': { params: hook, by: notWriting },
    'PATCH /api/projects/:projectId/webhooks/:id': { params: hook, body: { events: ['build'] }, by: notWriting },
    'POST /api/projects/:projectId/webhooks/:id/ping': { params: hook, by: notWriting, admittedParams: noHook, admitted: 404 },
    'GET /api/projects/:projectId/webhooks/:id/deliveries': { params: hook, by: notWriting },
    'GET /api/projects/:projectId/webhooks/:id/deliveries/:deliveryId': { params: { ...hook, deliveryId: nobody }, by: notWriting, admitted: 404 },
    'POST /api/projects/:projectId/webhooks/:id/deliveries/:deliveryId/redeliver': { params: { ...hook, deliveryId: nobody }, by: notWriting, admitted: 404 },
    'DELETE /api/projects/:projectId/webhooks/:id': { params: hook, by: notWriting, admittedParams: noHook, admitted: 404 },
    'GET /api/notifications': { by: narrowed },
    'GET /api/notifications/unread': { by: narrowed },
    'POST /api/notifications/read': { by: narrowed },
    'POST /api/notifications/:id/read': { params: { id: nobody }, admitted: 404, by: narrowed },
    'GET /api/notifications/stream': { admitted: 200, by: narrowed },
    'GET /api/notifications/preferences': { by: narrowed },
    'PUT /api/notifications/preferences': { body: { items: [] }, by: narrowed },
    'GET /api/notifications/webhook': { admitted: 404, by: narrowed },
    'PUT /api/notifications/webhook': { body: { url: 'https://example.org/hook' }, by: narrowed },
    'DELETE /api/notifications/webhook': { by: narrowed },

    'GET /api/plugins/:id': { params: { id: 'notes' } },
    'POST /api/plugins/:id/reload': { params: { id: 'notes' }, admittedParams: { id: 'nothing' }, admitted: 404 },
    'POST /api/plugins/:id/enable': { params: { id: 'notes' }, admittedParams: { id: 'nothing' }, admitted: 404 },
    'POST /api/plugins/:id/disable': { params: { id: 'notes' }, body: {}, admittedParams: { id: 'nothing' }, admitted: 404 },

    'POST /api/tasks/:id/retry': { params: { id: nobody }, admitted: 404 },
    'POST /api/tasks/:id/cancel': { params: { id: nobody }, admitted: 404 },
    'POST /api/tasks/run': { body: { task: 'nobody/nothing' }, admitted: 404 },
    'POST /api/tasks/forget': { body: { plugin: 'nobody' }, admitted: 200 },

    'GET /api/harbour/in/:projectId': { params: { projectId: project } },
    'POST /api/harbour/in/:projectId': { params: { projectId: project }, body: { name: 'Argo' } },
    'POST /api/harbour': { body: { name: 'Argo', projectId: project } },
    'GET /api/harbour': { query: `?projectId=${project}` },
    'GET /api/harbour/may/:projectId': { params: { projectId: project } }
  }
}
