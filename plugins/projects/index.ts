// Projects, and what people and agents do in them: issues, merge requests, reviews, comments.

import { definePlugin } from 'bulkhead'
import type { User } from 'bulkhead'
import { createRecorder } from './change.ts'
import { registerComments } from './comment-route.ts'
import { createComments } from './comment.ts'
import { registerIssues } from './issue-route.ts'
import { createIssues } from './issue.ts'
import { registerMergeRequests, registerReviews } from './merge-request-route.ts'
import { createMergeRequests } from './merge-request.ts'
import { registerProjects } from './project-route.ts'
import { createProjects, type Project } from './project.ts'
import { createReviews } from './review.ts'
import { createStandings } from './standing.ts'
import { createTurns } from './turn.ts'

/** What other plugins ask of projects. A user given by id stands for all that user may, without a token's limits. */
export interface ProjectService {
  /** Undefined when there is no such project, or none that the user may see. */
  find (user: User | string, projectId: string): Promise<Project | undefined>
  /** `NotFound` when there is none that the user may see, `Forbidden` when they may not do that there. */
  require (user: User | string, projectId: string, right: 'read' | 'write'): Promise<Project>
}

declare module 'bulkhead' {
  interface Services { projects: ProjectService }
}

export default definePlugin({
  permissions: {
    'project:restore': { description: 'See and restore deleted projects' },
    'comment:moderate': { description: 'Change and delete comments of others, and withdraw their reviews' }
  },

  start ({ routes, postgres, access, events, clock }): ProjectService {
    const record = createRecorder({ access, events, clock })
    const standings = createStandings({ postgres, access })
    const takeTurn = createTurns(clock)

    const projects = createProjects({ postgres, access, record })
    registerProjects({ routes, access, projects, standings })

    const issues = createIssues({ postgres, standings, record, takeTurn })
    registerIssues({ routes, access, issues, standings })

    const mergeRequests = createMergeRequests({ postgres, record, takeTurn })
    const reviews = createReviews({ postgres, record })
    registerMergeRequests({ routes, access, mergeRequests, reviews, standings })
    registerReviews({ routes, access, mergeRequests, reviews, standings })

    const findIssue = async (projectId: string, number: number) => ({ issue: await issues.find(projectId, number) })
    const findMergeRequest = async (projectId: string, number: number) => ({ mergeRequest: await mergeRequests.find(projectId, number) })
    const comments = createComments({
      postgres, record,
      findTarget: (projectId, { issueNumber, mergeRequestNumber }) =>
        issueNumber === null ? findMergeRequest(projectId, mergeRequestNumber ?? 0) : findIssue(projectId, issueNumber)
    })
    registerComments({ routes, access, comments, standings, findIssue, findMergeRequest })

    return {
      find: async (user, projectId) => (await standings.find(user, projectId))?.project,
      require: async (user, projectId, right) => (await standings.require(user, projectId, `project:${right}`)).project
    }
  }
})
