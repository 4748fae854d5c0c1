// Projects, and what people and agents do in them: issues, merge requests, reviews, comments. Webhooks tell others of it.

import { definePlugin } from 'bulkhead'
import type { Transaction } from 'bulkhead'
import { createAttempt } from './attempt.ts'
import { createRecorder } from './change.ts'
import { registerComments } from './comment-route.ts'
import { createComments } from './comment.ts'
import { createDeliveries, Job, queueName } from './delivery.ts'
import { registerIssues } from './issue-route.ts'
import { createIssues } from './issue.ts'
import { registerMergeRequests, registerReviews } from './merge-request-route.ts'
import { createMergeRequests } from './merge-request.ts'
import { registerProjects } from './project-route.ts'
import { createProjects, type Project } from './project.ts'
import { createReviews } from './review.ts'
import { createStandings } from './standing.ts'
import type { Subject } from './token.ts'
import { createTurns } from './turn.ts'
import { registerDeliveries, registerWebhooks } from './webhook-route.ts'
import { createWebhooks, keepSecrets, type HookEvent } from './webhook.ts'

/** What other plugins ask of projects. A user given by id, or by `access.asUser`, stands for all that user may, without a token's limits. */
export interface ProjectService {
  /** Undefined when there is no such project, or none that the user may see. */
  find (user: Subject, projectId: string): Promise<Project | undefined>
  /** `NotFound` when there is none that the user may see, `Forbidden` when they may not do that there. */
  require (user: Subject, projectId: string, right: 'read' | 'write'): Promise<Project>
  /**
   * Tells the webhooks of a project that listen to the event, if and only if the transaction commits; in-process only, as a live transaction is.
   * What happens to issues, merge requests and comments is told by this plugin.
   */
  announce (
    projectId: string, event: Extract<HookEvent, 'push' | 'build' | 'deploy'>, payload: Readonly<Record<string, unknown>>, options: { in: Transaction }
  ): Promise<void>
}

declare module 'bulkhead' {
  interface Services { projects: ProjectService }
}

/** In each replica. A dead one takes up to ten seconds, and most of that is waiting. */
const receiversAtOnce = 50

export default definePlugin({
  config: {
    webhookAttempts: { doc: 'Most attempts of one webhook delivery', format: 'positive', default: 12, env: 'PROJECTS_WEBHOOK_ATTEMPTS' },
    webhookRetryMs: { doc: 'Pause before the second attempt of a delivery; it doubles with each attempt, up to an hour', format: 'positive', default: 2_000, env: 'PROJECTS_WEBHOOK_RETRY_MS' }
  },

  permissions: {
    'project:restore': { description: 'See and restore deleted projects' },
    'comment:moderate': { description: 'Change and delete comments of others, and withdraw their reviews' }
  },

  start ({ routes, tasks, postgres, access, encryption, events, clock, fetch, config, log }): ProjectService {
    const deliveries = createDeliveries({ postgres, access, tasks, clock })
    const record = createRecorder({ access, events, clock, announce: deliveries.announce })
    const standings = createStandings({ postgres, access })
    // A row's lock is waited for by one at a time, and whoever asks for very much at once leaves the database to others, too.
    const takeTurn = createTurns(clock, 1)
    const takeOwnTurn = createTurns(clock, 4)

    const projects = createProjects({ postgres, access, record })
    registerProjects({ routes, access, projects, standings })

    const issues = createIssues({ postgres, standings, record, takeTurn })
    registerIssues({ routes, access, issues, standings, takeOwnTurn })

    const mergeRequests = createMergeRequests({ postgres, record, takeTurn })
    const reviews = createReviews({ postgres, record })
    registerMergeRequests({ routes, access, mergeRequests, reviews, standings, takeOwnTurn })
    registerReviews({ routes, access, mergeRequests, reviews, standings, takeOwnTurn })

    const findIssue = async (projectId: string, number: number) => ({ issue: await issues.find(projectId, number) })
    const findMergeRequest = async (projectId: string, number: number) => ({ mergeRequest: await mergeRequests.find(projectId, number) })
    const comments = createComments({
      postgres, record,
      findTarget: (projectId, { issueNumber, mergeRequestNumber }) =>
        issueNumber === null ? findMergeRequest(projectId, mergeRequestNumber ?? 0) : findIssue(projectId, issueNumber)
    })
    registerComments({ routes, access, comments, standings, findIssue, findMergeRequest })

    const webhooks = createWebhooks({ postgres, encryption, record })
    registerWebhooks({ routes, webhooks, deliveries, standings })
    registerDeliveries({ routes, webhooks, deliveries, standings })
    keepSecrets({ postgres, encryption, log })
    const attempt = createAttempt({
      postgres, tasks, clock, fetch, encryption, record, attemptsMax: config.webhookAttempts, retryMs: config.webhookRetryMs
    })
    // What goes wrong with a receiver is written down and is no failure of the job; it fails when the host itself cannot go on.
    tasks.queue(queueName, { input: Job, retry: { limit: 20 }, timeout: '30s', concurrency: receiversAtOnce }, attempt)
    tasks.every('trim-deliveries', '10m', async ({ log }) => {
      log.debug({ deleted: await deliveries.trim() }, 'old deliveries were deleted')
    })

    return {
      announce: (projectId, event, payload, { in: tx }) => deliveries.announce(tx, projectId, event, payload),
      find: async (user, projectId) => (await standings.find(user, projectId))?.project,
      require: async (user, projectId, right) => (await standings.require(user, projectId, `project:${right}`)).project
    }
  }
})
