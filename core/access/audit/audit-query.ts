// Reads the audit log, page by page.

import { AuditRecord, sql, z } from '../../contract/index.ts'
import type { Audit, Postgres } from '../../contract/index.ts'
import type { Authorization } from '../permission/authorization.ts'
import { recordAudit } from './audit-log.ts'

export function createAudit ({ postgres, decisions }: { postgres: Postgres, decisions: Authorization }): Audit {
  return {
    record: recordAudit,
    async find (user, filter, { limit, offset }) {
      await decisions.require(user, 'admin:users')
      const { actorId = null, action = null, resource = null, resourceId = null, projectId = null, plugin = null, from = null, to = null } = filter
      const where = sql.fragment`
        where (${actorId}::uuid is null or actor_id = ${actorId}::uuid)
          and (${action}::text is null or action = ${action}::text)
          and (${resource}::text is null or resource = ${resource}::text)
          and (${resourceId}::uuid is null or resource_id = ${resourceId}::uuid)
          and (${projectId}::uuid is null or project_id = ${projectId}::uuid)
          and (${plugin}::text is null or exists (
            select from bulkhead.audit_source s where s.audit_id = audit_log.id and s.plugin = ${plugin}::text
          ))
          and (${from}::timestamptz is null or created_at >= ${from}::timestamptz)
          and (${to}::timestamptz is null or created_at < ${to}::timestamptz)
      `
      const [items, total] = await Promise.all([
        postgres.any(sql.type(AuditRecord)`
          select
            id, actor_id as "actorId", actor_name as "actorName", action, resource, resource_id as "resourceId", project_id as "projectId",
            detail, host(ip_addr) as address, source.plugin, coalesce(source.is_by_plugin, false) as "isByPlugin", created_at as "createdAt"
          from public.audit_log left join bulkhead.audit_source source on source.audit_id = audit_log.id ${where} order by created_at desc, id limit ${limit} offset ${offset}
        `),
        postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from public.audit_log ${where}`)
      ])
      return { items: [...items], total }
    }
  }
}
