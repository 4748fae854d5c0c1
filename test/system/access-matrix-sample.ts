// What the matrix sends to each route that needs something, and what it is answered once the guard has let it through.

/** A caller of the matrix, by name. */
export type By = Readonly<Record<string, number>>

export interface Sample {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: string
  readonly body?: object
  /** Of a caller who is admitted; the route's own success unless said. Those not named here get `admitted`. */
  readonly admitted?: number
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
  readonly password: string
  readonly nobody: string
}

export function samplesFor ({ victim, spare, role, spareRole, delegation, project, password, nobody }: Things): Readonly<Record<string, Sample>> {
  const notTheirs = { developer: 403, ops: 403, agent: 403, viewer: 403, 'narrower token': 403 }
  const hidden = { developer: 404, ops: 404, agent: 404, viewer: 404, 'narrower token': 404 }
  return {
    'POST /api/auth/login': { body: { name: 'victim', password } },
    'POST /api/auth/logout': { by: { 'narrower token': 400 }, endsSessions: true },
    'GET /api/auth/sessions/:id': { params: { id: nobody }, admitted: 404 },
    'DELETE /api/auth/sessions/:id': { params: { id: nobody }, admitted: 404, by: { 'narrower token': 403 } },
    'DELETE /api/auth/sessions': { by: { 'narrower token': 403 }, endsSessions: true },

    'POST /api/users': { body: { name: 'newcomer', email: 'newcomer@example.org', password } },
    'GET /api/users/:id': { params: { id: victim }, by: notTheirs },
    'PATCH /api/users/:id': { params: { id: victim }, body: { displayName: 'Changed' }, by: notTheirs },
    'DELETE /api/users/:id': { params: { id: spare } },

    'POST /api/tokens': { body: { name: 'another' }, by: { 'narrower token': 403 } },
    'DELETE /api/tokens/:id': { params: { id: nobody }, admitted: 404 },

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
